"""Sklearn: any scikit-learn estimator as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlpipeline.dataflow.affine import Affine
from mlpipeline.dataflow.layer import StatefulLayer
from mlpipeline.dataflow.layers.sklearn_arrays import (
    beside_each_other,
    check_shapes,
    dense_result,
    is_supervised,
    label_values,
    method_of,
    missing_counted,
    result_for_none,
    tags_of,
    takes_tables,
    total_width,
    works_in_place,
)
from mlpipeline.dataflow.layers.sklearn_maps import Link, native_form
from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.errors import PipelineError

# estimators with a partial_fit for which seeing the same data again teaches nothing
STATISTICS = frozenset(
    {
        "StandardScaler",
        "MinMaxScaler",
        "MaxAbsScaler",
        "IncrementalPCA",
        "HashingVectorizer",
        "Birch",
        "GaussianNB",
        "MultinomialNB",
        "BernoulliNB",
        "ComplementNB",
        "CategoricalNB",
    }
)


class Sklearn(StatefulLayer):
    """A scikit-learn transformer, unsupervised model or supervised model.

    Several nodes are put beside each other as columns. A supervised estimator is called with the
    labels as the last node: `Sklearn(LogisticRegression())([features, labels], "risk")`; they are
    needed for fitting only. One-hot labels of a classifier of one label are turned into column
    numbers; a classifier that knows several labels at once (a forest, nearest neighbours) takes them
    as they are, and gives a probability for each. A sparse result becomes an array.

    The estimator itself is never fitted: a clone of it is, and stands in `metadata["estimator"]`.
    On a stream the clone's `partial_fit` is used, elsewhere its `fit`, which knows its own epochs.

    Args:
        estimator: an instance, with its parameters; set_params takes them as `estimator__C`.
        method: what makes the result: "transform", "predict_proba", "predict", "decision_function", ...;
            None takes the first of the first three that the estimator has.
        labels: whether the last node is labels; None asks the estimator.
        classes: all labels that there are; a classifier on a stream needs them at its first batch.
    """

    checks_itself = True
    _ready: _Ready | None = None

    def __init__(
        self,
        estimator: Any,
        method: str | None = None,
        labels: bool | None = None,
        classes: Sequence[Any] | None = None,
    ) -> None:
        if isinstance(estimator, type) or not hasattr(estimator, "fit"):
            hint = f"; make one: {estimator.__name__}()" if isinstance(estimator, type) else ""
            raise PipelineError(f"Sklearn: expected a scikit-learn estimator, but got {estimator!r:.80}{hint}")
        self.estimator = estimator
        self.method = method
        self.labels = labels
        self.classes = classes
        method_of(estimator, method)

    @property
    def can_stream(self) -> bool:
        """Whether the estimator has a partial_fit."""
        return callable(getattr(self.estimator, "partial_fit", None))

    @property
    def is_iterative(self) -> bool:  # type: ignore[override]  # depends on the estimator
        """Whether a second pass over a stream teaches the estimator more."""
        return self.can_stream and type(self.estimator).__name__ not in STATISTICS

    @property
    def made_by(self) -> str:
        """The method of the estimator that makes the result."""
        return method_of(self.estimator, self.method)

    def label_count(self, n_inputs: int) -> int:
        """Return 1 for an estimator that learns from labels.

        Raises: PipelineError: there are no labels.
        """
        supervised = is_supervised(self.estimator) if self.labels is None else self.labels
        if supervised and n_inputs < 2:
            kind = type(self.estimator).__name__
            raise PipelineError(
                f"Sklearn: {kind} learns from labels: expected [features, labels], the labels last, but got "
                f"{n_inputs} node; Sklearn({kind}(...), labels=False) if it needs none"
            )
        return int(supervised)

    def infer(self, *specs: Spec) -> Spec:
        """Return the width of the result where the estimator keeps it."""
        from sklearn.base import OneToOneFeatureMixin

        method = method_of(self.estimator, self.method)
        check_shapes(specs, takes_tables(self.estimator))
        keeps_columns = isinstance(self.estimator, OneToOneFeatureMixin) and method == "transform"
        return Spec((total_width(specs),)) if keeps_columns else Spec()

    def learn(self, *arrays: Array, epochs: int = 1) -> None:
        """Fit a clone of the estimator on all observations."""
        x, labels = self._split(arrays)
        estimator = self._clone()
        with missing_counted(x):
            estimator.fit(x, *labels)
        self.metadata = {"estimator": estimator}

    def learn_more(self, *arrays: Array) -> None:
        """Let the clone see one more batch.

        Raises: PipelineError: the estimator has no partial_fit, or does not know all classes.
        """
        if not self.can_stream:
            raise PipelineError(
                f"{type(self.estimator).__name__} cannot be fitted batch by batch: it has no partial_fit. Fit the "
                "pipeline on the whole data with `fit`"
            )
        x, labels = self._split(arrays)
        known = self.metadata.get("estimator")
        arguments = self._first_classes(arrays[-1]) if known is None else {}
        estimator = self._clone() if known is None else known
        with missing_counted(x):
            estimator.partial_fit(x, *labels, **arguments)
        self.metadata["estimator"] = estimator
        self.__dict__.pop("_ready", None)

    def fit(self, *arrays: Array) -> StatefulLayer:
        """Fit as scikit-learn calls it, with X or with X and y; an estimator without labels leaves y alone."""
        self.learn(*arrays[: self._protocol_count(arrays)])
        return self

    def partial_fit(self, *arrays: Array) -> StatefulLayer:
        """Learn from one more batch, as scikit-learn calls it."""
        self.learn_more(*arrays[: self._protocol_count(arrays)])
        return self

    def transform(self, *features: Array) -> Array:
        """Return what the fitted estimator makes of the features, labels left out.

        Raises: DataError: rows with NaN, for an estimator that takes none.
        """
        ready = self._made_ready()
        if ready.form is not None:
            x = features[0] if len(features) == 1 and features[0].ndim == 2 else beside_each_other(features, True)
            if x.dtype.kind in "fiub":
                return ready.form(x)
        x = beside_each_other(features, ready.takes_tables)
        if not len(x):
            return result_for_none(ready.estimator, ready.method, x)
        with missing_counted(x):
            result = ready.compute(x.copy() if ready.works_in_place else x)
        return dense_result(ready.estimator, result, len(x))

    def affine_link(self, spec: Spec) -> tuple[Affine, Link | None] | None:
        """Return the fitted estimator as an affine map and what is done to its values, if it is that.

        The link may write over the array that it is given, and refuses values that come from NaN.
        """
        form = self._made_ready().form
        if form is None or not spec.is_table or spec.shape != (form.width,):
            return None
        return replace(form.affine, refuses_missing=form.refuses_missing, refuses_infinity=True), form.link

    def feature_names(self, *names: Sequence[str]) -> Sequence[str] | None:
        """Return the names that the fitted estimator gives its columns, where it does."""
        ready = self._made_ready()
        if ready.method != "transform" or not hasattr(ready.estimator, "get_feature_names_out"):
            return None
        known = [each for some in names for each in some]
        try:
            return [str(name) for name in ready.estimator.get_feature_names_out(known)]
        except ValueError:  # the names do not fit on what it has seen
            return None

    def _clone(self) -> Any:
        from sklearn.base import clone

        return clone(self.estimator, safe=False)

    def _split(self, arrays: Sequence[Array]) -> tuple[Array, list[Array]]:
        """Return the features as one array, and the labels, none or one."""
        count = len(arrays) - self.label_count(len(arrays))
        x = beside_each_other(arrays[:count], takes_tables(self.estimator))
        labels = [label_values(self.estimator, each) for each in arrays[count:]]
        return x.copy() if works_in_place(self.estimator) else x, labels

    def _protocol_count(self, arrays: Sequence[Array]) -> int:
        return 1 + self.label_count(max(len(arrays), 1)) if len(arrays) < 3 else len(arrays)

    def _first_classes(self, labels: Array) -> dict[str, Any]:
        """Return the argument that tells a classifier all classes; labels of shape (n, k) have one a column."""
        if tags_of(self.estimator).estimator_type != "classifier":
            return {}
        if "classes" not in inspect.signature(self.estimator.partial_fit).parameters:
            return {}
        if self.classes is not None:
            return {"classes": np.asarray(self.classes)}
        if labels.ndim == 2 and labels.shape[1] > 1:
            return {"classes": np.arange(labels.shape[1])}
        kind = type(self.estimator).__name__
        raise PipelineError(
            f"{kind} on a stream needs to know all classes at the first batch: Sklearn({kind}(...), classes=[...])"
        )

    def _made_ready(self) -> _Ready:
        """Return what transform needs of the fitted estimator; made once, and again when it has learned more."""
        ready = self._ready
        estimator = self.metadata.get("estimator")
        if ready is None or ready.estimator is not estimator:
            if estimator is None:
                raise PipelineError(f"{self!r} has not been fitted")
            ready = self.__dict__["_ready"] = _Ready(estimator, method_of(estimator, self.method))
        return ready


class _Ready:
    """A fitted estimator with its method and native form. Made from the estimator: neither copied nor saved."""

    def __init__(self, estimator: Any, method: str) -> None:
        self.estimator = estimator
        self.method = method
        self.compute: Callable[[Array], Any] = getattr(estimator, method)
        self.form = native_form(estimator, method)
        self.takes_tables = takes_tables(estimator)
        self.works_in_place = works_in_place(estimator)

    def __deepcopy__(self, memory: dict[int, Any]) -> None:
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()
