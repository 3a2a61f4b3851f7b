"""SklearnTrainer: any scikit-learn estimator as a member of an ensemble."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.targets import CLASSES, VALUES
from mlpipeline.ensemble.trainer import Assignment, Fitted
from mlpipeline.errors import EnsembleError


@dataclass(frozen=True, eq=False)
class SklearnTrainer:
    """Trains clones of an estimator.

    Args:
        estimator: a classifier with `predict_proba`, or a regressor; it is never fitted itself.
        trusted: types that a saved estimator may hold besides those that skops knows.
    Raises: EnsembleError: it is no estimator.
    """

    estimator: Any
    trusted: Sequence[str] = ()
    suffix: str = ".skops"

    def __post_init__(self) -> None:
        if not hasattr(self.estimator, "fit") or not hasattr(self.estimator, "get_params"):
            raise EnsembleError(
                "trainer must be a KerasTrainer, a TorchTrainer, another Trainer, or a scikit-learn estimator, "
                f"but got {self.estimator!r:.80}"
            )

    @property
    def task(self) -> str:
        """Whether it predicts classes or values."""
        from sklearn.base import is_classifier

        return CLASSES if is_classifier(self.estimator) else VALUES

    @property
    def accepts_missing(self) -> bool:
        """Whether NaN in X is its own business."""
        from sklearn.utils import get_tags

        return bool(get_tags(self.estimator).input_tags.allow_nan)

    def fit(self, assignment: Assignment) -> Fitted:
        """Fit a clone whose random states are seeded by the member's."""
        from sklearn.base import clone

        estimator = _seeded(clone(self.estimator), assignment.seed)
        train, targets = assignment.train, assignment.targets
        assert train.y is not None
        y = targets.indices(train.y) if targets.kind == CLASSES else _one_column_flat(train.y)
        if train.weights is None:
            return Fitted(estimator.fit(train.X, y))
        return Fitted(estimator.fit(train.X, y, **self._weights(estimator, train.weights)))

    def predict(self, fitted: Fitted, X: Any, *, seed: int = 0, is_test: bool = False) -> NDArray[Any]:
        """Return probabilities, in the columns of all classes even where the member has not seen each; or values."""
        model = fitted.model
        if self.task == VALUES:
            values = np.asarray(model.predict(X))
            return values.reshape(len(values), -1)
        if not hasattr(model, "predict_proba"):
            raise EnsembleError(f"{type(model).__name__} has no predict_proba; wrap it in CalibratedClassifierCV")
        return np.asarray(model.predict_proba(X))

    def save(self, fitted: Fitted, path: Path) -> None:
        import skops.io

        path.write_bytes(skops.io.dumps(fitted.model))

    def load(self, path: Path) -> Any:
        import skops.io

        return skops.io.loads(path.read_bytes(), trusted=list(self.trusted))

    def _weights(self, estimator: Any, weights: NDArray[Any]) -> dict[str, Any]:
        name = "sample_weight"
        if hasattr(estimator, "steps"):
            name, estimator = f"{estimator.steps[-1][0]}__{name}", estimator.steps[-1][1]
        if "sample_weight" not in inspect.signature(estimator.fit).parameters:
            raise EnsembleError(
                f"{type(estimator).__name__} takes no weights of rows; leave class and sample weights out"
            )
        return {name: weights}


def _seeded(estimator: Any, seed: int) -> Any:
    """Seed what a clone draws with, where the user has left it open, nested estimators too."""
    names = [name for name in estimator.get_params() if name == "random_state" or name.endswith("__random_state")]
    unset = {name: seed % 2**32 for name in names if estimator.get_params()[name] is None}
    return estimator.set_params(**unset)


def _one_column_flat(y: NDArray[Any]) -> NDArray[Any]:
    return y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
