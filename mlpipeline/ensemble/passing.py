"""Passing: rows beside the predictions of a level below, as one table for the level above."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from mlpipeline.ensemble.observations import Part, Source
from mlpipeline.ensemble.preparation import Preparation, fit_and_prepare
from mlpipeline.errors import EnsembleError

RAW, PREDICTIONS = "rows", "predictions"


class BesideRows:
    """A transformer that prepares the rows and puts predictions beside them; with scikit-learn's protocol.

    Args:
        preprocessing: of the rows; None takes them as they are.
        random_state: of what the preprocessing draws.
    """

    def __init__(self, preprocessing: Any = None, random_state: int | None = None) -> None:
        self.preprocessing = preprocessing
        self.random_state = random_state
        self._preparation: Preparation | None = None

    def fit(self, X: Mapping[str, Any], y: Any = None) -> Self:
        """Fit the preprocessing on the rows."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Mapping[str, Any], y: Any = None) -> Any:
        """Fit the preprocessing on the rows, and return them with the predictions, [n, columns]."""
        if self.preprocessing is None:
            return _beside(X[RAW], X[PREDICTIONS])
        self._preparation, prepared = fit_and_prepare(self.preprocessing, Part(X[RAW], None, y), self.random_state or 0)
        return _beside(prepared, X[PREDICTIONS])

    def transform(self, X: Mapping[str, Any]) -> Any:
        """Return the prepared rows with the predictions, [n, columns]."""
        rows = X[RAW] if self._preparation is None else self._preparation.transform(X[RAW])
        return _beside(rows, X[PREDICTIONS])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what it was made with."""
        return {"preprocessing": self.preprocessing, "random_state": self.random_state}

    def set_params(self, **parameters: Any) -> Self:
        """Change what it was made with."""
        for name, value in parameters.items():
            setattr(self, name, value)
        return self

    def __sklearn_clone__(self) -> Self:
        return type(self)(**self.get_params())


def _beside(rows: Any, predictions: Any) -> Any:
    """Return rows and predictions as columns of one array or sparse matrix.

    Raises: EnsembleError: the rows are no numbers.
    """
    if hasattr(rows, "tocsr"):
        from scipy.sparse import csr_matrix, hstack

        return hstack([rows, csr_matrix(predictions)]).tocsr()
    if isinstance(rows, (Mapping, Source)):
        raise EnsembleError("passthrough needs rows that are a table of numbers, but they are arrays by name or files")
    table = np.asarray(rows.detach().cpu() if hasattr(rows, "detach") else rows)
    if table.dtype.kind not in "biuf":
        raise EnsembleError(
            f"passthrough needs rows that are numbers, but they have {table.dtype}; give preprocessing that makes some"
        )
    return np.hstack([table.reshape(len(table), -1), predictions])
