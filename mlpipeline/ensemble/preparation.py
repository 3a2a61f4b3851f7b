"""Preparation: preprocessing that is fitted on the training rows of one member alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlpipeline.ensemble.observations import Part
from mlpipeline.errors import EnsembleError


@dataclass(frozen=True, eq=False)
class Preparation:
    """A fitted transformer.

    Args:
        transformer: with `transform(X)`.
    """

    transformer: Any

    def transform(self, X: Any) -> Any:
        """Return prepared rows: an array [n, ...], or what the transformer returns as a frame or sparse matrix."""
        return self.transformer.transform(X)


def fit_preparation(preprocessing: Any, train: Part) -> Preparation | None:
    """Fit a copy of the preprocessing on training rows.

    Args:
        preprocessing: a scikit-learn transformer, a pipeline of them, a pipeline of `mlpipeline.dataflow`, or None.
        train: the training rows.
    Raises: EnsembleError: it has no fit and transform.
    """
    if preprocessing is None:
        return None
    if not hasattr(preprocessing, "fit") or not hasattr(preprocessing, "transform"):
        raise EnsembleError(
            "preprocessing must be a scikit-learn transformer or a data pipeline, with fit and transform, "
            f"but got {preprocessing!r:.80}"
        )
    from sklearn.base import clone

    return Preparation(clone(preprocessing).fit(train.X, train.y))
