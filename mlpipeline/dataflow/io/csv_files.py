"""CSV files: as a dictionary of arrays, and streamed in batches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlpipeline.dataflow.io.generators import Generator
from mlpipeline.dataflow.io.misfits import first_misfit
from mlpipeline.dataflow.io.source import Kinds, Take, checked_nrows, chosen, read_whole
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError

_DIGITS_OF_INT64 = 19
OWN_ARGUMENTS = {
    "chunksize": "batch_size of CSVGenerator",
    "iterator": "CSVGenerator",
    "usecols": "cols or exclude_cols",
    "index_col": "exclude_cols, if the column is not wanted",
}


class CSVSource:
    """A CSV file.

    Args:
        path: may be compressed, as its ending says.
        exclude_cols: the names of columns to leave out.
        cols: the names of columns to read; None for all.
        options: keyword arguments of `pandas.read_csv`.
    Raises: DataError: there is no such file, it has no columns, or a name is of no column.
    """

    parses_text = True
    is_misread = False
    first_rows = 64

    def __init__(
        self,
        path: str | os.PathLike[str],
        exclude_cols: Sequence[str] = (),
        cols: Sequence[str] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(path, str | os.PathLike):
            raise DataError(f"expected the path of a CSV file, but got {type(path).__name__}")
        self.path = Path(path)
        if not self.path.is_file():
            found = "is a folder" if self.path.is_dir() else "is not there"
            raise DataError(f"{self.path} {found}: expected the path of a CSV file")
        self._options = _completed(options or {})
        with self._told():
            header = self._read(nrows=1)
        _check_width(self.path, header)
        names = [str(label) for label in header.columns]
        # all columns are parsed: with usecols, pandas lets a row with too many values pass
        self.names = chosen(names, cols, exclude_cols, str(self.path))
        self._labels = dict(zip(names, header.columns, strict=True))
        self._no_rows = {name: header[label].iloc[:0] for name, label in self._labels.items()}

    @contextmanager
    def open(self, kinds: Kinds | None) -> Iterator[Take]:
        """Begin at the first row."""
        dtypes = self._dtypes(kinds)
        with self._told(dtypes):
            reader = self._read(iterator=True, **({"dtype": dtypes} if dtypes else {}))

        def take(rows: int) -> dict[str, Any]:
            with self._told(dtypes):
                frame = _next_rows(reader, rows)
            if frame is None:
                return self._no_rows
            self._check_dates(frame)
            self.is_misread = self.is_misread or (kinds is None and any(_hides_missing(frame[n]) for n in frame))
            return {name: frame[label] for name, label in self._labels.items()}

        with reader:
            yield take

    def _read(self, **more: Any) -> Any:
        import pandas as pd

        return pd.read_csv(self.path, **{**self._options, **more})

    def _dtypes(self, kinds: Kinds | None) -> Any:
        """Return how to read each column; what the caller has asked for goes first."""
        asked = self._options.get("dtype")
        if kinds is None or (asked is not None and not isinstance(asked, dict)):
            return asked
        dtypes = dict(asked or {})
        settled = {*dtypes, *self._options.get("converters", ()), *self._dates()}
        for name, kind in kinds.items():
            label = self._labels[name]
            if label in settled or name in settled:
                continue
            if kind.dtype == object:
                dtypes[label] = str
            elif kind.dtype.kind in "iuf":
                dtypes[label] = kind.array_dtype
        return dtypes

    def _check_dates(self, frame: Any) -> None:
        for label in self._dates():
            if label in frame and frame[label].dtype.kind != "M":
                raise DataError(
                    f"{self.path}: column {label!r} is in parse_dates, but not all of its values are dates as "
                    f"{self._options['date_format']}; pass date_format='%d.%m.%Y' or the like"
                )

    def _dates(self) -> list[Any]:
        dates = self._options.get("parse_dates")
        return dates if isinstance(dates, list) else []

    @contextmanager
    def _told(self, dtypes: Any = None) -> Iterator[None]:
        """Say which file cannot be read, and where."""
        try:
            yield
        except UnicodeError as error:
            raise DataError(
                f"{self.path}: expected text in UTF-8, but: {error}; pass encoding='latin-1' or so"
            ) from None
        except (ValueError, TypeError, LookupError, OSError, ImportError, OverflowError) as error:
            where = first_misfit(self._read, dtypes) if dtypes is not None else None
            raise DataError(f"{self.path}: expected a CSV file, but {where or str(error).strip()}") from None


class CSVData(dict[str, Array]):
    """The columns of a CSV file as arrays by name.

    A column of numbers in which one value is missing is float64 with NaN; True and False are bool;
    anything else is text: an object array of `str` as it stands in the file, with None where it is
    missing.

    Args:
        path: may be compressed, as its ending says.
        exclude_cols: the names of columns to leave out.
        nrows: how many rows to read at most.
        cols: the names of columns to read; None for all.
        options: keyword arguments of `pandas.read_csv`: sep, header, names, na_values, encoding, ...
            With `parse_dates=[...]` dates are expected as in ISO 8601 unless `date_format` says otherwise.
    Raises: DataError: there is no such file, it cannot be read, or a name is of no column.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        exclude_cols: Sequence[str] = (),
        nrows: int | None = None,
        cols: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(read_whole(CSVSource(path, exclude_cols, cols, options), checked_nrows(nrows))[0])


class CSVGenerator(Generator):
    """A CSV file in batches, which together are `CSVData` of the file.

    The file is streamed: memory holds some batches of it, never all. It is read when the generator is
    made, for the dtypes of its columns, and once for each round.

    Args:
        path: may be compressed, as its ending says.
        batch_size: how many rows a batch has; the last one may have fewer.
        exclude_cols: the names of columns to leave out.
        nrows: how many rows to read at most.
        repeat: begin again after the last row, without end.
        cols: the names of columns to read; None for all.
        options: keyword arguments of `pandas.read_csv`, as for `CSVData`.
    Raises: DataError: there is no such file, it cannot be read, or a name is of no column.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        batch_size: int = 32,
        exclude_cols: Sequence[str] = (),
        nrows: int | None = None,
        repeat: bool = False,
        cols: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(CSVSource(path, exclude_cols, cols, options), batch_size, nrows, repeat)


def _completed(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `pandas.read_csv` with which a file reads the same in blocks and as a whole."""
    for name, instead in OWN_ARGUMENTS.items():
        if name in options:
            raise DataError(f"CSV files: {name} is not an argument here; use {instead}")
    completed = dict(options)
    separator = completed.get("sep", completed.get("delimiter", ","))
    if separator is None or (len(separator) > 1 and separator != r"\s+"):
        completed.setdefault("engine", "python")  # the only one that knows these; pandas would warn
    if completed.get("parse_dates"):
        completed.setdefault("date_format", "ISO8601")  # else each block would guess its own
    return completed


def _next_rows(reader: Any, rows: int) -> Any:
    try:
        return reader.get_chunk(rows)
    except StopIteration:
        return None


def _hides_missing(series: Any) -> bool:
    """Return whether integers beyond int64 are in a column of text: pandas then leaves what is missing as text too."""
    import pandas as pd

    if not isinstance(series.dtype, pd.StringDtype) and series.dtype != object:
        return False
    texts = series[series.map(lambda value: isinstance(value, str) and len(value) >= _DIGITS_OF_INT64)]
    return bool(texts.astype(str).str.fullmatch(r"[+-]?\d+").any())


def _check_width(path: Path, frame: Any) -> None:
    import pandas as pd

    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(
            f"{path}: expected as many values in a row as there are names of columns, but there are more; "
            "is a name missing, or does every row end with a separator?"
        )
