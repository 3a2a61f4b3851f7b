"""What a user gives to a pipeline of Keras models: rows with their targets, checked one by one and put together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlpipeline.ensemble.images import ImageFiles
from mlpipeline.ensemble.observations import Observations, as_inputs, check_finite, count_rows
from mlpipeline.ensemble.targets import as_targets, check_alike
from mlpipeline.errors import EnsembleError


def read_rows(X: Any, y: Any, name: str) -> Observations:
    """Return rows and targets as arrays of equal length.

    Each set is checked by itself: two that are wrong may have the right length together.

    Args:
        X: [n, ...]. y: [n] or [n, k].
        name: of the set, "train".
    Raises: EnsembleError: rows and targets differ in number, or numbers are missing.
    """
    X, y = read_inputs(X, name), as_targets(y, f"y_{name}")
    if len(y) != count_rows(X):
        raise EnsembleError(f"X_{name} has {count_rows(X)} rows, but y_{name} has {len(y)}; give one target for each")
    return Observations(X, y)


def read_inputs(X: Any, name: str) -> Any:
    """Return rows without targets. Raises: EnsembleError: numbers are missing, or there are no rows."""
    X = as_inputs(X, f"X_{name}")
    check_finite(X, f"X_{name}")
    return X


def join(train: Observations, valid: Observations) -> Observations:
    """Return training rows followed by validation rows.

    Raises: EnsembleError: they are of different kinds or shapes, or one has labels and the other one-hot rows.
    """
    check_alike(train.y, valid.y, ("y_train", "y_valid"))
    X = _joined(train.X, valid.X, "X")
    return Observations(X, np.concatenate([train.y, valid.y]), X.ids if isinstance(X, ImageFiles) else None)


def check_apart(train: ImageFiles, valid: ImageFiles) -> None:
    """Raises: EnsembleError: the folders have other classes, or a file would be trained on and judged by."""
    if train.classes != valid.classes:
        raise EnsembleError(
            f"{train.folder} has the classes {', '.join(train.classes)}, but {valid.folder} has "
            f"{', '.join(valid.classes)}; name those to be used (classes=[...]), which both must have"
        )
    both = {os.path.realpath(path) for path in train.paths} & {os.path.realpath(path) for path in valid.paths}
    if both:
        raise EnsembleError(
            f"train_dir ({train.folder}) and valid_dir ({valid.folder}) have {len(both)} files in common, the first of "
            f"them {min(both)}: a model would be judged by what it was trained on; give folders without common files"
        )


def _joined(train: Any, valid: Any, name: str) -> Any:
    forms = [_form(X) for X in (train, valid)]
    if forms[0] != forms[1]:
        raise EnsembleError(f"{name}_train is {forms[0]}, but {name}_valid is {forms[1]}; give both alike")
    if isinstance(train, Mapping):
        return {key: _joined(train[key], valid[key], f"{name}[{key!r}]") for key in train}
    if isinstance(train, ImageFiles):
        return _joined_files(train, valid)
    if hasattr(train, "iloc"):
        import pandas as pd

        return pd.concat([train, valid], ignore_index=True)
    if hasattr(train, "tocsr"):
        from scipy.sparse import vstack

        return vstack([train, valid], format="csr")
    return np.concatenate([train, valid])


def _form(X: Any) -> str:
    """Say what rows have to have in common with others to be put behind them."""
    kind = type(X).__name__
    if isinstance(X, Mapping):
        return f"{kind} of {', '.join(sorted(map(str, X)))}"
    if isinstance(X, ImageFiles):
        return f"{kind} of size {X.image_size}, {X.color_mode}"
    if hasattr(X, "columns"):
        return f"{kind} of the columns {', '.join(map(str, X.columns))}"
    return f"{kind} with rows of the shape {tuple(X.shape[1:])}"


def _joined_files(train: ImageFiles, valid: ImageFiles) -> ImageFiles:
    folder = os.path.commonpath([train.folder, valid.folder])
    ids = [Path(os.path.relpath(path, folder)).as_posix() for path in [*train.paths, *valid.paths]]
    labels = None
    if train.labels is not None and valid.labels is not None:
        labels = np.concatenate([train.labels, valid.labels])
    return replace(train, folder=Path(folder), ids=np.array(ids), labels=labels)
