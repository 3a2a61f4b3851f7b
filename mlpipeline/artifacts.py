"""What a run keeps for people to look at: figures, tables and predictions, as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlpipeline.errors import ScriptError
from mlpipeline.files import replace_file

PREDICTIONS = "predictions"
"""Files of predictions are named `<name>.predictions.csv`: columns id, truth, and prediction or one a value."""
_LONGEST_NAME_BYTES = 150


def save_figure(folder: Path, name: str, figure: Any) -> Path:
    """Write a figure of Matplotlib, Plotly or Altair, or an image of Pillow, and return the file.

    Plotly's is kept as its JSON, which a page can draw again; the others become a PNG.

    Raises: ScriptError: the name cannot be one of a file, or the figure is of another kind.
    """
    path = _path(folder, name)
    if hasattr(figure, "to_plotly_json"):
        return _written(path, ".plotly.json", figure.to_json().encode())
    png = path.with_name(f"{path.name}.png")
    if hasattr(figure, "savefig"):
        figure.savefig(png, format="png", bbox_inches="tight")
    elif hasattr(figure, "to_dict") and hasattr(figure, "save"):
        figure.save(str(png), format="png")
    elif hasattr(figure, "getbands"):
        figure.save(png, format="PNG")
    else:
        raise ScriptError(
            f"save_figure({name!r}): expected a figure of Matplotlib, Plotly or Altair, or an image of Pillow, "
            f"but got {type(figure).__module__}.{type(figure).__qualname__}"
        )
    return png


def save_table(folder: Path, name: str, table: Any) -> Path:
    """Write a data frame, a mapping of columns or a list of mappings as CSV with its column names; return the file.

    Raises: ScriptError: the name cannot be one of a file, or the table is of another kind.
    """
    path = _path(folder, name)
    if hasattr(table, "to_csv"):  # pandas
        is_numbered = type(getattr(table, "index", None)).__name__ == "RangeIndex"
        return _written(path, ".csv", table.to_csv(index=not is_numbered).encode())
    if hasattr(table, "write_csv"):  # polars
        return _written(path, ".csv", table.write_csv().encode())
    if isinstance(table, Mapping):
        columns = {str(key): _listed(values) for key, values in table.items()}
    elif isinstance(table, Sequence) and table and all(isinstance(row, Mapping) for row in table):
        keys = dict.fromkeys(key for row in table for key in row)
        columns = {str(key): [row.get(key) for row in table] for key in keys}
    else:
        raise ScriptError(
            f"save_table({name!r}): expected a data frame, a mapping of columns or a list of mappings, "
            f"but got {type(table).__module__}.{type(table).__qualname__}"
        )
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{key}: {len(values)}" for key, values in columns.items())
        raise ScriptError(f"save_table({name!r}): expected columns of one length, but got {lengths}")
    return _written(path, ".csv", _csv(columns))


def save_predictions(folder: Path, y_true: Any, y_pred: Any, ids: Sequence[Any] | None, name: str) -> Path:
    """Write true and predicted labels or values, a line for each observation, and return the file.

    Args:
        folder: where to.
        y_true: labels or values [n], or values [n, k].
        y_pred: the same; or, for labels, probabilities [n, classes] in the order of the sorted labels.
        ids: of the observations; their numbers from 0 where None.
        name: tells several apart, as `test`.
    Raises: ScriptError: the lengths or shapes do not fit.
    """
    truth, predicted = _rows("y_true", y_true), _rows("y_pred", y_pred)
    labels = list(range(len(truth))) if ids is None else _listed(ids)
    if not len(truth) == len(predicted) == len(labels):
        raise ScriptError(
            "save_predictions: expected as many predictions and ids as true values, but got "
            f"{len(truth)} true, {len(predicted)} predicted and {len(labels)} ids"
        )
    width, predicted_width = _width("y_true", truth), _width("y_pred", predicted)
    if width == 1 and predicted_width > 1:
        predicted, predicted_width = _decided(truth, predicted), 1
    if width != predicted_width:
        raise ScriptError(
            f"save_predictions: y_true has {width} columns and y_pred {predicted_width}; expected as many, "
            "or for labels one probability a class"
        )
    columns = {"id": labels, **_named(truth, width, "truth"), **_named(predicted, width, "prediction")}
    return _written(_path(folder, name), f".{PREDICTIONS}.csv", _csv(columns))


def _listed(values: Any) -> list[Any]:
    """Return the items of an array, a tensor, a series or a list as plain values."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _rows(what: str, values: Any) -> list[list[Any]]:
    try:
        items = _listed(values)
    except TypeError:
        raise ScriptError(f"save_predictions: {what} must be [n] or [n, columns], but is {values!r}") from None
    return [_listed(item) if isinstance(item, (list, tuple)) or hasattr(item, "tolist") else [item] for item in items]


def _width(what: str, rows: list[list[Any]]) -> int:
    widths = {len(row) for row in rows} or {1}
    if len(widths) > 1 or any(isinstance(value, list) for row in rows[:1] for value in row):
        raise ScriptError(f"save_predictions: {what} must be [n] or [n, columns], with rows of one length")
    return widths.pop()


def _decided(truth: list[list[Any]], probabilities: list[list[Any]]) -> list[list[Any]]:
    """Return the label of the largest probability in each row."""
    count = len(probabilities[0])
    classes: list[Any] = sorted({row[0] for row in truth})
    if len(classes) > count:
        raise ScriptError(f"save_predictions: y_true has {len(classes)} labels, but y_pred has {count} columns")
    if len(classes) < count:  # a label that does not occur: only numbers tell which
        classes = list(range(count))
    return [[classes[max(range(count), key=row.__getitem__)]] for row in probabilities]


def _named(rows: list[list[Any]], width: int, name: str) -> dict[str, list[Any]]:
    if width == 1:
        return {name: [row[0] for row in rows]}
    return {f"{name}_{k}": [row[k] for row in rows] for k in range(width)}


def _csv(columns: Mapping[str, list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode(errors="backslashreplace")


def _path(folder: Path, name: str) -> Path:
    is_plain = isinstance(name, str) and name.strip() and name.isprintable() and not set(name) & set('/\\:*?"<>|')
    if not is_plain or name.startswith(".") or len(name.encode()) > _LONGEST_NAME_BYTES:
        raise ScriptError(
            f"expected the name of a file without its ending, such as 'confusion', but got {name!r}; "
            "it may not begin with '.', hold a '/', or be long"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _written(path: Path, ending: str, content: bytes) -> Path:
    target = path.with_name(f"{path.name}{ending}")
    replace_file(target, content)
    return target
