"""Preparation: preprocessing that is fitted on the training rows of one member alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.estimators import seeded_copy
from mlpipeline.ensemble.observations import Part, as_inputs, count_rows, take
from mlpipeline.ensemble.targets import is_one_hot
from mlpipeline.errors import EnsembleError


@dataclass(frozen=True, eq=False)
class Preparation:
    """A fitted transformer.

    Args:
        transformer: with `transform(X)`.
    """

    transformer: Any

    def transform(self, X: Any) -> Any:
        """Return prepared rows: an array [n, ...], or what the transformer returns as a frame or sparse matrix.

        Raises: EnsembleError: the transformer drops or adds rows.
        """
        count = count_rows(X)
        # A copy: a transformer with copy=False would change the caller's rows, and the next member would get those.
        return _checked(self.transformer.transform(take(X, np.arange(count))), count)


def fit_preparation(preprocessing: Any, train: Part, seed: int = 0) -> Preparation | None:
    """Fit a copy of the preprocessing on training rows.

    Args:
        preprocessing: a scikit-learn transformer, a pipeline of them, a pipeline of `mlpipeline.dataflow`, or None.
        train: the training rows. seed: of what the transformer draws, where the user has left it open.
    Raises: EnsembleError: it has no fit and transform, or drops or adds rows.
    """
    return None if preprocessing is None else fit_and_prepare(preprocessing, train, seed)[0]


def fit_and_prepare(preprocessing: Any, train: Part, seed: int = 0) -> tuple[Preparation, Any]:
    """Fit a copy of the preprocessing, and prepare the training rows; arguments as for `fit_preparation`.

    The training rows are prepared by `fit_transform`: transformers that look at y, such as `TargetEncoder`, prepare
    them in another way than rows that they have not seen.
    """
    if not hasattr(preprocessing, "fit") or not hasattr(preprocessing, "transform") or isinstance(preprocessing, type):
        raise EnsembleError(
            "preprocessing must be a scikit-learn transformer or a data pipeline, with fit and transform, "
            f"but got {preprocessing!r:.80}"
        )
    transformer = seeded_copy(preprocessing, seed, "preprocessing")
    if hasattr(transformer, "fit_transform"):
        prepared = transformer.fit_transform(*_to_fit(transformer, train))
    else:
        prepared = transformer.fit(*_to_fit(transformer, train)).transform(_copied(train))
    return Preparation(transformer), _checked(prepared, len(train))


def _copied(train: Part) -> Any:
    return train.X if train.rows is not None else take(train.source, np.arange(len(train)))


def _to_fit(transformer: Any, train: Part) -> tuple[Any, NDArray[Any] | None]:
    """Return rows and y as a transformer wants them.

    scikit-learn wants y of classes as [n]. A data pipeline says by its inputs how it wants y, and of arrays by name
    it wants y to be one.
    """
    from sklearn.base import BaseEstimator

    X, y = _copied(train), train.y
    if isinstance(X, Mapping) and hasattr(transformer, "graph"):
        return {**X, **{str(node.name): y for node in transformer.graph.inputs if node.name not in X}}, None
    if y is None or y.ndim == 1 or not isinstance(transformer, BaseEstimator):
        return X, y
    return X, y.reshape(-1) if y.shape[1] == 1 else np.asarray(y.argmax(axis=1)) if is_one_hot(y) else y


def _checked(prepared: Any, count: int) -> Any:
    prepared = as_inputs(prepared, "what preprocessing gives")
    if count_rows(prepared) != count:
        raise EnsembleError(
            f"preprocessing gave {count_rows(prepared)} rows for {count}, so that rows and predictions would not "
            "belong together; drop or add rows before the ensemble sees them"
        )
    return prepared
