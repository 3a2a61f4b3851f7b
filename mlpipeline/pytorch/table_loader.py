"""TableLoader: a CSV file or a data frame as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlpipeline.errors import DataError, did_you_mean
from mlpipeline.pytorch.batches import Rows
from mlpipeline.pytorch.columns import fit_columns
from mlpipeline.pytorch.loading import Parts, TensorLoader
from mlpipeline.pytorch.splitting import split_rows
from mlpipeline.pytorch.targets import choose_task, encode_targets, fit_targets

if TYPE_CHECKING:
    import pandas as pd


class TableLoader(TensorLoader):
    """A table, of which one column is predicted from the others.

    Numbers are standardised and categories get a column each, as fitted on the training part
    alone. The table is read when it is first needed.

    Args:
        table: a CSV file, relative to the project folder, or a data frame.
        target: the predicted column, by name or by position (-1: the last).
        task: "binary", "multiclass" or "regression"; told by the target unless that holds few whole numbers.
        test_fraction: share of the rows that are the test part.
        seed: of the split; without `stratify` the same rows as scikit-learn's `train_test_split`.
        stratify: divide each class in the same proportion.
        scale: standardise the inputs.
        header: the file's first line holds the names of the columns; otherwise they are 0, 1, ...
        separator: what stands between two values.
    """

    def __init__(
        self,
        table: str | Path | pd.DataFrame,
        target: int | str = -1,
        task: str | None = None,
        test_fraction: float = 0.33,
        seed: int = 0,
        stratify: bool = False,
        scale: bool = True,
        header: bool = True,
        separator: str = ",",
    ) -> None:
        self.table = table
        self.target = target
        self.task_name = task
        self.test_fraction = test_fraction
        self.seed = seed
        self.stratify = stratify
        self.scale = scale
        self.header = header
        self.separator = separator

    def load(self) -> Parts:
        """Read, divide and encode the table.

        Raises: DataError: the file is missing or no such table, or a column or value cannot be used.
        """
        frame = self._frame()
        name = _column_name(frame, self.target)
        values, inputs = frame[name].to_numpy(), frame.drop(columns=name)
        _refuse_missing(frame, name)
        task = choose_task(self.task_name, values)
        train, test = split_rows(len(frame), self.test_fraction, self.seed, values if self.stratify else None)
        encoder = fit_columns(inputs.iloc[train], self.scale)
        targets = fit_targets(task, values[train], values)
        whole = Rows(encoder.encode(inputs), encode_targets(task, targets, values))
        return Parts(_pick(whole, train), _pick(whole, test), task, targets, encoder.encode)

    def _frame(self) -> pd.DataFrame:
        import pandas as pd

        if isinstance(self.table, pd.DataFrame):
            return self.table
        try:
            frame = pd.read_csv(self.table, header=0 if self.header else None, sep=self.separator)
        except FileNotFoundError:
            place = Path(self.table).absolute()
            raise DataError(f"no table at {place}; give its path relative to the project folder") from None
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise DataError(f"{self.table} is not a table of values between {self.separator!r}: {error}") from error
        if self.header and any(_is_number(name) for name in frame.columns):
            raise DataError(f"{self.table}: the first line holds numbers, not names of columns; pass header=False")
        return frame


def _column_name(frame: pd.DataFrame, target: int | str) -> Any:
    if target in frame.columns:
        return target
    if isinstance(target, int) and -frame.shape[1] <= target < frame.shape[1]:
        return frame.columns[target]
    names = [str(name) for name in frame.columns]
    raise DataError(
        f"target must be one of the {len(names)} columns, but {target!r} is not{did_you_mean(str(target), names)}"
    )


def _refuse_missing(frame: pd.DataFrame, target: Any) -> None:
    missing = frame.isna().to_numpy()
    if missing.any():
        row, column = np.argwhere(missing)[0]
        name = frame.columns[column]
        what = "the target" if name == target else f"column {name!r}"
        raise DataError(
            f"{what} has no value in row {row} (counted from 0), one of {missing.sum()} missing values; "
            "fill them or drop the rows, and pass the data frame"
        )


def _pick(rows: Rows, index: NDArray[np.intp]) -> Rows:
    return rows.at(torch.from_numpy(index))


def _is_number(name: object) -> bool:
    try:
        float(str(name))
    except ValueError:
        return False
    return True
