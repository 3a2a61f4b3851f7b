"""Arrays as scikit-learn takes them, its results as arrays, and what its estimators say about themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlpipeline.dataflow.missing_values import missing_text, rows_with
from mlpipeline.dataflow.spec import Array, Spec, shape_text
from mlpipeline.dataflow.tables import as_array
from mlpipeline.errors import DataError, PipelineError

MAX_DENSE_BYTES = 1_000_000_000
SCORED_BY_LABELS = ("SelectKBest", "SelectPercentile")  # their tags do not say that they need labels


def tags_of(estimator: Any) -> Any:
    """Return what a scikit-learn estimator says about itself."""
    from sklearn.utils import get_tags

    return get_tags(estimator)


def is_supervised(estimator: Any) -> bool:
    """Return whether an estimator, or one that it is made of, learns from labels."""
    if not hasattr(estimator, "__sklearn_tags__"):  # "passthrough", "drop" or None
        return False
    tags = tags_of(estimator)
    if tags.estimator_type in ("classifier", "regressor") or tags.target_tags.required:
        return True
    inner = [getattr(estimator, "estimator", None)]
    for parts in ("steps", "transformers", "transformer_list"):
        inner += [part[1] for part in getattr(estimator, parts, ())]
    return type(estimator).__name__ in SCORED_BY_LABELS or any(map(is_supervised, inner))


def takes_tables(estimator: Any) -> bool:
    """Return whether an estimator takes array[n, k]; one of texts, or of labels, takes its input as it is."""
    while True:
        inner = estimator.steps[0][1] if getattr(estimator, "steps", None) else getattr(estimator, "estimator", None)
        if not hasattr(inner, "__sklearn_tags__"):
            return bool(tags_of(estimator).input_tags.two_d_array)
        estimator = inner


def works_in_place(estimator: Any) -> bool:
    """Return whether an estimator may work in the array that it is given: one not of scikit-learn, or told to."""
    if not type(estimator).__module__.startswith("sklearn."):
        return True
    parameters = estimator.get_params().items()
    return any(value is False and name.rpartition("__")[2].lower() in ("copy", "copy_x") for name, value in parameters)


def method_of(estimator: Any, asked: str | None) -> str:
    """Return the name of the method that makes an estimator's result: the one asked for, or the first that it has.

    Raises: PipelineError: it has none that works on new data.
    """
    kind = type(estimator).__name__
    if asked is not None:
        if "fit" not in asked and callable(getattr(estimator, asked, None)):
            return asked
        raise PipelineError(
            f"method: expected a method of {kind} that works on new data (transform, predict_proba, predict, "
            f"decision_function, ...), but got {asked!r}, which is none{_depends_hint(estimator, asked)}"
        )
    for name in ("transform", "predict_proba", "predict"):
        if callable(getattr(estimator, name, None)):
            return name
    only = " or ".join(name for name in ("fit_predict", "fit_transform") if hasattr(estimator, name))
    raise PipelineError(
        f"{kind} has no transform, predict_proba or predict{f', only {only}' if only else ''}: it says nothing about "
        f"data that it was not fitted on. Take an estimator that does (KMeans, PCA), or compute it beforehand"
    )


def _depends_hint(estimator: Any, asked: str) -> str:
    return "; its parameters switch it off" if hasattr(type(estimator), asked) else ""


def check_shapes(specs: Sequence[Spec], as_table: bool) -> None:
    """Refuse observations that cannot stand beside each other as columns.

    Raises: PipelineError: says which shape came.
    """
    for spec in specs:
        if as_table and spec.shape is not None and len(spec.shape) > 1:
            raise PipelineError(
                f"expected columns, (n,) or (n, k), but got {shape_text(spec.shape)}; put a Flatten before it"
            )
    if not as_table and len(specs) > 1:
        raise PipelineError(f"expected one node, whose array is taken as it is, but got {len(specs)}")


def total_width(specs: Sequence[Spec]) -> int | None:
    """Return how many columns observations have together, if that is known."""
    widths = [spec.size for spec in specs]
    return None if None in widths else sum(width or 0 for width in widths)


def beside_each_other(arrays: Sequence[Array], as_table: bool) -> Array:
    """Return arrays (n,) and (n, k) as one array[n, k]; a single one as it is where tables are not taken.

    Raises: DataError: they have more axes.
    """
    if not as_table:
        return arrays[0].ravel() if arrays[0].shape[1:] == (1,) else arrays[0]
    for array in arrays:
        if array.ndim > 2:
            raise DataError(f"expected an array (n,) or (n, k), but got {array.shape}; put a Flatten before it")
    columns = [array[:, None] if array.ndim == 1 else array for array in arrays]
    if len(columns) == 1:
        return columns[0]
    if len({each.dtype.kind in "biufc" for each in columns}) > 1:  # numpy would turn the numbers into texts
        columns = [each.astype(object) for each in columns]
    return np.concatenate(columns, axis=1)


def label_values(estimator: Any, labels: Array) -> Array:
    """Return labels as an estimator takes them: (n, 1) as (n,), and one-hot labels of a classifier as column numbers.

    A classifier that knows several labels at once gets labels of shape (n, k) as they are.

    Raises: DataError: they are of shape (n, k) and not one-hot, for a classifier of one label.
    """
    if labels.shape[1:] == (1,):
        return labels[:, 0]
    classifier = tags_of(estimator).classifier_tags
    if labels.ndim == 1 or classifier is None or classifier.multi_label:
        return labels
    if labels.ndim > 2 or not _is_one_hot(labels):
        raise DataError(
            f"{type(estimator).__name__} learns one label for each observation: expected labels of shape (n,), or "
            f"one-hot labels (n, k), but got {labels.shape}"
        )
    decoded: Array = labels.argmax(axis=1)
    return decoded


def _is_one_hot(labels: Array) -> bool:
    ones, zeros = (labels == 1).sum(axis=1), (labels == 0).sum(axis=1)
    return bool(((ones == 1) & (zeros == labels.shape[1] - 1)).all())


@contextmanager
def missing_counted(x: Array) -> Iterator[None]:
    """Turn scikit-learn's complaint about NaN into one that says how many rows have it."""
    try:
        yield
    except ValueError as error:
        told = str(error)
        if x.dtype.kind not in "fc" or not ("contains NaN" in told or "contains infinity" in told):
            raise
        takes_nan = "contains NaN" not in told
        rows = rows_with(np.isinf(x) if takes_nan else ~np.isfinite(x))
        if not rows:
            raise
        raise DataError(missing_text(rows, len(x), "infinity" if takes_nan else "NaN or infinity")) from error


def result_for_none(estimator: Any, method: str, x: Array) -> Array:
    """Return what an estimator gives for no observations or, where it refuses that, for a made-up one, cut off.

    Args:
        estimator: fitted.
        method: the name of its method.
        x: array[0, ...].
    Raises: DataError: it takes nothing that can be made up.
    """
    is_text = x.ndim == 1 and x.dtype.kind in "OU"
    for given in (x, np.array([""], x.dtype) if is_text else np.zeros((1, *x.shape[1:]), x.dtype)):
        try:
            return dense_result(estimator, getattr(estimator, method)(given), len(given))[:0]
        except ValueError:  # it wants an observation, or does not know this one
            continue
    if method == "transform" and hasattr(estimator, "get_feature_names_out"):
        return np.empty((0, len(estimator.get_feature_names_out())), getattr(estimator, "dtype", None))
    raise DataError(f"{type(estimator).__name__} got no observations, and takes at least one")


def dense_result(estimator: Any, result: Any, n: int) -> Array:
    """Return what an estimator gave as an array of n observations.

    Raises: PipelineError: it would not fit into memory, or is not an array of n observations.
    """
    if hasattr(result, "toarray"):
        _check_dense_size(estimator, result)
    elif isinstance(result, list):
        result = _positive_probabilities(estimator, result)
    array = as_array(result)
    if array.ndim == 0 or len(array) != n:
        raise PipelineError(
            f"{type(estimator).__name__} gave an array of shape {array.shape} for {n} observations; "
            "a layer keeps the observations"
        )
    return array


def _check_dense_size(estimator: Any, result: Any) -> None:
    n, columns = result.shape
    size = n * columns * result.dtype.itemsize
    if size > MAX_DENSE_BYTES:
        kind = type(estimator).__name__
        raise PipelineError(
            f"{kind} gives {columns:,} columns, mostly zeros: {size / 1e9:.1f} GB as an array of {n:,} rows, and at "
            f"most {MAX_DENSE_BYTES / 1e9:.0f} GB is made. Ask it for fewer columns (max_features, min_df, "
            "n_features), transform smaller batches, or reduce them in the same layer: "
            f"Sklearn(make_pipeline({kind}(...), TruncatedSVD(100)))"
        )


def _positive_probabilities(estimator: Any, results: list[Array]) -> Array:
    """Return for several labels at once the probability of each, array[n, k], from a list of array[n, classes]."""
    columns = []
    for probabilities, classes in zip(results, estimator.classes_, strict=True):
        if not np.isin(classes, (0, 1)).all():
            raise PipelineError(
                f"{type(estimator).__name__} gives probabilities for {len(results)} outputs of several classes, which "
                "are not one array; ask for method='predict'"
            )
        columns.append(probabilities[:, classes == 1].sum(axis=1))
    return np.stack(columns, axis=1)
