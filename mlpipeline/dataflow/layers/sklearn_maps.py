"""Native forms of fitted scikit-learn estimators: an affine map, and a link that turns its values into the result.

Only estimators of exactly the classes listed here have one: a class derived from them may do something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlpipeline.dataflow.affine import Affine
from mlpipeline.dataflow.missing_values import refuse_infinity, refuse_missing
from mlpipeline.dataflow.spec import Array, as_working
from mlpipeline.errors import DataError

Link = Callable[[Array], Array]
NARROW_CLASSES = 16  # up to here a loop over columns finds the largest faster than numpy does along short rows
MANY_ROWS = 256


@dataclass(frozen=True)
class NativeForm:
    """What an estimator does, without the estimator.

    Args:
        affine: the map of observations.
        link: what to do with its values, or None. May write over the array that it is given; refuses NaN.
        refuses_missing: rows with NaN are an error, as they are for the estimator; infinity always is.
        narrow: the map in float32, of an estimator that gives float32 for float32 whatever it was fitted on.
    """

    affine: Affine
    link: Link | None = None
    refuses_missing: bool = True
    narrow: Affine | None = None

    @property
    def width(self) -> int:
        """How many values an observation needs."""
        return len(self.affine.factor)

    def affine_for(self, dtype: np.dtype[Any]) -> Affine:
        """Return the affine map for observations of a dtype."""
        return self.affine if self.narrow is None or dtype != np.float32 else self.narrow

    def __call__(self, x: Array) -> Array:
        """Return what the estimator makes of array[n, width].

        Raises: DataError: a wrong width, or rows with NaN where the estimator takes none.
        """
        if x.shape[1] != self.width:
            raise DataError(f"expected observations of {self.width} values, as in fitting, but got {x.shape[1]}")
        x = as_working(x)
        values = self.affine_for(x.dtype)(x)
        if self.link is not None:
            return self.link(values)
        return refuse_missing(values) if self.refuses_missing else refuse_infinity(values)


def native_form(estimator: Any, method: str) -> NativeForm | None:
    """Return the native form of a method of a fitted estimator, if it has one."""
    module = type(estimator).__module__.split(".")
    if module[0] != "sklearn" or len(module) < 2:
        return None
    make = _FORMS.get((module[1], type(estimator).__name__, method))
    return None if make is None else make(estimator)


def flatten(values: Array) -> Array:
    """Return array[n, 1] as array[n]."""
    return refuse_missing(values)[:, 0]


def sigmoid_pair(values: Array) -> Array:
    """Return the probabilities of two classes, array[n, 2], from array[n, 1]."""
    from scipy.special import expit  # comes with scikit-learn

    refuse_missing(values)
    result = np.empty((len(values), 2), values.dtype)
    expit(values[:, 0], out=result[:, 1])
    np.subtract(1, result[:, 1], out=result[:, 0])
    return result


def softmax(values: Array) -> Array:
    """Turn array[n, k] into probabilities in place; the largest value is subtracted, so that exp cannot overflow."""
    refuse_missing(values)
    if len(values) < MANY_ROWS or values.shape[1] > NARROW_CLASSES:
        values -= np.maximum.reduce(values, axis=1, keepdims=True)
        np.exp(values, out=values)
        values /= np.add.reduce(values, axis=1, keepdims=True)
        return values
    values -= _row_maxima(values)
    np.exp(values, out=values)
    values /= (values @ np.ones(values.shape[1], values.dtype))[:, None]
    return values


def pick_by_sign(classes: Array) -> Link:
    """Return a link that takes the second class where a value is above zero, and the first elsewhere."""

    def pick(values: Array) -> Array:
        picked: Array = classes.take((refuse_missing(values)[:, 0] > 0).astype(np.intp), axis=0)
        return picked

    return pick


def pick_by_largest(classes: Array) -> Link:
    """Return a link that takes the class of the largest value."""

    def pick(values: Array) -> Array:
        picked: Array = classes.take(refuse_missing(values).argmax(axis=1), axis=0)
        return picked

    return pick


def _row_maxima(values: Array) -> Array:
    largest = values[:, 0].copy()
    for column in values.T[1:]:
        np.maximum(largest, column, out=largest)
    return largest[:, None]


def _scaled(factor: Any, center: Any = None, shift: Any = 0.0, width: int = 0) -> NativeForm:
    """Return the form of a scaler; None stands for a factor or a center that it does not use."""
    affine = Affine(np.ones(width) if factor is None else factor, 0.0 if center is None else center, shift)
    narrow = Affine(*(_narrowed(part) for part in (affine.factor, affine.center, affine.shift)))
    return NativeForm(affine, refuses_missing=False, narrow=narrow)


def _narrowed(part: Any) -> Any:
    return part.astype(np.float32) if isinstance(part, np.ndarray) else part


def _standard_scaler(est: Any) -> NativeForm:
    factor = 1 / est.scale_ if est.with_std else None
    return _scaled(factor, est.mean_ if est.with_mean else None, width=est.n_features_in_)


def _min_max_scaler(est: Any) -> NativeForm | None:
    return None if est.clip else _scaled(est.scale_, shift=est.min_)


def _max_abs_scaler(est: Any) -> NativeForm | None:
    return None if getattr(est, "clip", False) else _scaled(1 / est.scale_)


def _robust_scaler(est: Any) -> NativeForm:
    factor = 1 / est.scale_ if est.with_scaling else None
    return _scaled(factor, est.center_ if est.with_centering else None, width=est.n_features_in_)


def _pca(est: Any) -> NativeForm:
    factor = np.ascontiguousarray(est.components_.T)
    if est.whiten:
        deviation = np.sqrt(est.explained_variance_)
        factor = factor / np.maximum(deviation, np.finfo(deviation.dtype).eps)
    return NativeForm(Affine(factor, 0.0 if est.mean_ is None else est.mean_))


def _truncated_svd(est: Any) -> NativeForm:
    return NativeForm(Affine(np.ascontiguousarray(est.components_.T)))


def _discriminants(est: Any) -> NativeForm | None:
    if est.solver == "lsqr":
        return None
    factor = np.ascontiguousarray(est.scalings_[:, : est._max_components])
    return NativeForm(Affine(factor, est.xbar_ if est.solver == "svd" else 0.0))


def _linear(est: Any) -> Affine | None:
    """Return the linear part as a matrix; None where the coefficients are sparse."""
    if not isinstance(est.coef_, np.ndarray):
        return None
    dtype = np.result_type(est.coef_, est.intercept_)  # some keep a float64 intercept beside float32 coefficients
    factor = np.atleast_2d(est.coef_).T.astype(dtype, order="C")
    return Affine(factor, 0.0, np.atleast_1d(np.asarray(est.intercept_, dtype)))


def _regression(est: Any) -> NativeForm | None:
    affine = _linear(est)
    return None if affine is None else NativeForm(affine, flatten if est.coef_.ndim == 1 else None)


def _decision(est: Any) -> NativeForm | None:
    affine = _linear(est)
    return None if affine is None else NativeForm(affine, flatten if affine.factor.shape[1] == 1 else None)


def _classes(est: Any) -> NativeForm | None:
    affine = _linear(est)
    if affine is None or not isinstance(est.classes_, np.ndarray) or _is_multilabel(est):
        return None
    pick = pick_by_sign if affine.factor.shape[1] == 1 else pick_by_largest
    return NativeForm(affine, pick(est.classes_))


def _probabilities(est: Any) -> NativeForm | None:
    affine = _linear(est)
    binary = len(est.classes_) == 2
    one_against_rest = getattr(est, "solver", None) == "liblinear" and not binary
    if affine is None or one_against_rest or getattr(est, "multi_class", "auto") in ("ovr", "multinomial"):
        return None
    return NativeForm(affine, sigmoid_pair if binary else softmax)


def _is_multilabel(est: Any) -> bool:
    binarizer = getattr(est, "_label_binarizer", None)
    return binarizer is not None and str(binarizer.y_type_).startswith("multilabel")


_REGRESSORS = (
    "LinearRegression",
    "Ridge",
    "RidgeCV",
    "Lasso",
    "LassoCV",
    "ElasticNet",
    "ElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskElasticNet",
    "Lars",
    "LassoLars",
    "BayesianRidge",
    "ARDRegression",
    "HuberRegressor",
    "SGDRegressor",
    "OrthogonalMatchingPursuit",
    "TheilSenRegressor",
)
_CLASSIFIERS = (
    "LogisticRegression",
    "LogisticRegressionCV",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "SGDClassifier",
    "Perceptron",
)

_FORMS: dict[tuple[str, str, str], Callable[[Any], NativeForm | None]] = {
    ("preprocessing", "StandardScaler", "transform"): _standard_scaler,
    ("preprocessing", "MinMaxScaler", "transform"): _min_max_scaler,
    ("preprocessing", "MaxAbsScaler", "transform"): _max_abs_scaler,
    ("preprocessing", "RobustScaler", "transform"): _robust_scaler,
    ("decomposition", "PCA", "transform"): _pca,
    ("decomposition", "IncrementalPCA", "transform"): _pca,
    ("decomposition", "TruncatedSVD", "transform"): _truncated_svd,
    ("discriminant_analysis", "LinearDiscriminantAnalysis", "transform"): _discriminants,
    ("discriminant_analysis", "LinearDiscriminantAnalysis", "decision_function"): _decision,
    ("discriminant_analysis", "LinearDiscriminantAnalysis", "predict"): _classes,
    ("discriminant_analysis", "LinearDiscriminantAnalysis", "predict_proba"): _probabilities,
    ("svm", "LinearSVC", "decision_function"): _decision,
    ("svm", "LinearSVC", "predict"): _classes,
    ("svm", "LinearSVR", "predict"): _regression,
    ("linear_model", "LogisticRegression", "predict_proba"): _probabilities,
    ("linear_model", "LogisticRegressionCV", "predict_proba"): _probabilities,
    **{("linear_model", name, "predict"): _regression for name in _REGRESSORS},
    **{("linear_model", name, "predict"): _classes for name in _CLASSIFIERS},
    **{("linear_model", name, "decision_function"): _decision for name in _CLASSIFIERS},
}
