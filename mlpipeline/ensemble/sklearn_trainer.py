"""SklearnTrainer: any scikit-learn estimator as a member of an ensemble."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.estimators import seeded_copy
from mlpipeline.ensemble.observations import count_rows, take
from mlpipeline.ensemble.targets import CLASSES, VALUES
from mlpipeline.ensemble.trainer import Assignment, Fitted
from mlpipeline.errors import EnsembleError

CLASS_COUNT = "class_count"


@dataclass(frozen=True, eq=False)
class SklearnTrainer:
    """Trains clones of an estimator.

    Args:
        estimator: a classifier with `predict_proba`, or a regressor; it is never fitted itself.
        trusted: types that a saved estimator may hold besides those that skops knows.
    Raises: EnsembleError: it is no estimator, or gives no probabilities.
    """

    estimator: Any
    trusted: Sequence[str] = field(default=(), compare=False)  # says nothing about how it is trained
    suffix: str = ".skops"
    has_epochs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        from sklearn.base import is_clusterer, is_outlier_detector

        needed = ("fit", "predict", "get_params", "__sklearn_tags__")
        if isinstance(self.estimator, type) or not all(hasattr(self.estimator, name) for name in needed):
            raise EnsembleError(
                "trainer must be a KerasTrainer, a TorchTrainer, another Trainer, or a scikit-learn estimator, "
                f"but got {self.estimator!r:.80}"
            )
        if is_clusterer(self.estimator) or is_outlier_detector(self.estimator):
            raise EnsembleError(f"{type(self.estimator).__name__} is no classifier and no regressor")
        if self.task == CLASSES and not hasattr(self.estimator, "predict_proba"):
            raise EnsembleError(
                f"{type(self.estimator).__name__} has no predict_proba, which out-of-fold predictions of classes need; "
                "wrap it in CalibratedClassifierCV"
            )

    @property
    def task(self) -> str:
        """Whether it predicts classes or values."""
        from sklearn.base import is_classifier

        return CLASSES if is_classifier(self.estimator) else VALUES

    @property
    def accepts_missing(self) -> bool:
        """Whether NaN in X is its own business."""
        return _takes_missing(self.estimator)

    def fit(self, assignment: Assignment) -> Fitted:
        """Fit a clone whose random states are seeded by the member's."""
        estimator = seeded_copy(self.estimator, assignment.seed, type(self.estimator).__name__)
        train, targets = assignment.train, assignment.targets
        assert train.y is not None
        weights = {} if train.weights is None else {_weights_name(estimator): train.weights}
        if targets.classes is None:
            return Fitted(estimator.fit(train.X, _one_column_flat(train.y), **weights))
        model = estimator.fit(train.X, targets.indices(train.y), **weights)
        return Fitted(model, statistics={CLASS_COUNT: np.array(len(targets.classes))})

    def predict(self, fitted: Fitted, X: Any, *, seed: int = 0, is_test: bool = False) -> NDArray[Any]:
        """Return probabilities, in the columns of all classes even where the member has not seen each; or values."""
        model = fitted.model
        rows = take(X, np.arange(count_rows(X)))  # a step with copy=False would change the caller's own
        if self.task == VALUES:
            values = np.asarray(model.predict(rows))
            return values.reshape(len(values), -1)
        seen = np.asarray(model.predict_proba(rows))
        count = int(fitted.statistics[CLASS_COUNT])
        if seen.shape[1] == count:
            return seen
        probabilities = np.zeros((len(seen), count), dtype=seen.dtype)
        probabilities[:, model.classes_] = seen
        return probabilities

    def save(self, fitted: Fitted, path: Path) -> None:
        import skops.io

        path.write_bytes(skops.io.dumps(fitted.model))

    def load(self, path: Path) -> Any:
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        try:
            return skops.io.loads(path.read_bytes(), trusted=list(self.trusted))
        except UntrustedTypesFoundException:
            unknown = skops.io.get_untrusted_types(data=path.read_bytes())
            raise EnsembleError(
                f"{path.name} holds types that can do harm if somebody else has written the file; if it is yours, pass "
                f"SklearnTrainer(estimator, trusted={sorted({*self.trusted, *unknown})!r})"
            ) from None
        except (BadZipFile, ValueError, TypeError, KeyError, AttributeError, ImportError, EOFError) as error:
            raise EnsembleError(f"{path.name} is damaged ({type(error).__name__}: {error}); train it again") from error


def _takes_missing(estimator: Any) -> bool:
    """Tell whether an estimator takes NaN, as its tags say; what wraps others has no such tag, and is left to judge."""
    from sklearn.utils import get_tags

    for _, step in getattr(estimator, "steps", ()):
        if step is None or isinstance(step, str):
            continue
        if not _takes_missing(step):
            return False
        if type(step).__module__.startswith("sklearn.impute") or _wraps_others(step):
            return True
    return bool(get_tags(estimator).input_tags.allow_nan) or _wraps_others(estimator)


def _wraps_others(estimator: Any) -> bool:
    return any("__" in name for name in estimator.get_params())


def _weights_name(estimator: Any) -> str:
    """Return the name under which `fit` takes weights of rows. Raises: EnsembleError: it takes none."""
    name = _find_weights_name(estimator)
    if name is None:
        raise EnsembleError(f"{type(estimator).__name__} takes no weights of rows; leave class and sample weights out")
    return name


def _find_weights_name(estimator: Any) -> str | None:
    if hasattr(estimator, "steps"):
        step, last = estimator.steps[-1]
        name = _find_weights_name(last)
        return None if name is None else f"{step}__{name}"
    parameters = inspect.signature(estimator.fit).parameters.values()
    if any(parameter.name == "sample_weight" for parameter in parameters):
        return "sample_weight"
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    # What wraps others passes weights on to them: searches have one estimator, votes have several.
    single = getattr(estimator, "estimator", None)
    inner = [single] if single is not None else [each for _, each in getattr(estimator, "estimators", ())]
    names = {_find_weights_name(each) for each in inner if not isinstance(each, str)}
    return names.pop() if len(names) == 1 else None


def _one_column_flat(y: NDArray[Any]) -> NDArray[Any]:
    return y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
