"""PipelineEstimator: a pipeline as scikit-learn sees it: parameters, clones, scores, names of columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mlpipeline.dataflow.estimator import checked_container, transformer_tags
from mlpipeline.dataflow.graph import Graph, rebuilt
from mlpipeline.dataflow.layer import Layer
from mlpipeline.dataflow.layers.sklearn_layer import Sklearn
from mlpipeline.dataflow.node import Application, Node
from mlpipeline.dataflow.outputs import Outputs
from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.tables import is_frame, numbered
from mlpipeline.errors import PipelineError, did_you_mean

if TYPE_CHECKING:
    from mlpipeline.dataflow.prepared import Prepared


class PipelineEstimator(ABC):
    """The half of `Pipeline` that scikit-learn's tools use."""

    graph: Graph
    name: str
    version: Any
    overwrite: bool
    _where: Any  # what was given as storage
    _prepared: Prepared
    _container: str | None = None  # what set_output asked for: "pandas", "polars" or None

    @abstractmethod
    def fit(self, data: Any, y: Any = None, epochs: int = 1) -> Self: ...

    @abstractmethod
    def transform(self, data: Any, index: Any = None) -> Any: ...

    @abstractmethod
    def evaluate(self, data: Any, y: Any = None) -> dict[str, Any]: ...

    def fit_transform(self, data: Any, y: Any = None, epochs: int = 1) -> Any:
        """Fit, and transform the same data."""
        return self.fit(data, y, epochs).transform(data)

    def predict(self, data: Any) -> Array:
        """Return the first output; of a classifier's probabilities the most probable class."""
        output = self._prepared.run(self._prepared.arrange(data))[0]
        return self.classes_.take(output.argmax(axis=1)) if self._gives_probabilities else output

    @property
    def predict_proba(self) -> Callable[[Any], Array]:
        """What gives the probabilities; there where the first output is made of them."""
        if not self._gives_probabilities:
            raise AttributeError("the first output of the pipeline holds no probabilities of classes")

        def predict_proba(data: Any) -> Array:
            return self._prepared.run(self._prepared.arrange(data))[0]

        return predict_proba  # by this name scikit-learn asks for it

    @property
    def classes_(self) -> Array:
        """The classes of the classifier that gives the first output; there where one does."""
        model = self._model()
        if model is None or not hasattr(model.metadata.get("estimator"), "classes_"):
            raise AttributeError("no fitted classifier gives the first output of the pipeline")
        classes: Array = model.metadata["estimator"].classes_
        return classes

    @property
    def _gives_probabilities(self) -> bool:
        model = self._model()
        return model is not None and model.made_by == "predict_proba"

    def _model(self) -> Sklearn | None:
        """Return the supervised scikit-learn layer that gives the first output, if one does."""
        application = self.graph.outputs[0].application
        if application is None or not application.labels:
            return None
        layer = self._prepared.layers.get(application, application.layer)
        return layer if isinstance(layer, Sklearn) else None

    def score(self, data: Any, y: Any = None) -> float:
        """Return the first metric; without one the accuracy of a classifier, or R² of a regressor.

        Raises: PipelineError: the pipeline has neither.
        """
        model = self._model()
        if not self.graph.metrics and model is not None and y is not None:
            from sklearn.base import is_classifier
            from sklearn.metrics import accuracy_score, r2_score

            return float((accuracy_score if is_classifier(model.estimator) else r2_score)(y, self.predict(data)))
        if not self.graph.metrics:
            raise PipelineError("score needs a metric: Pipeline(..., metrics=[...]); or pass scoring= to the search")
        return float(next(iter(self.evaluate(data, y).values())))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what the pipeline was made with; with `deep` the parameters of its layers as `node__parameter`."""
        graph = self.graph
        parameters: dict[str, Any] = {
            "inputs": graph.inputs,
            "outputs": graph.outputs,
            "metrics": graph.metrics,
            "explorers": graph.explorers,
            "name": self.name,
            "version": self.version,
            "storage": self._where,
            "overwrite": self.overwrite,
        }
        if deep:
            for each in graph.applications:
                parameters |= {f"{graph.label(each)}__{key}": value for key, value in each.layer.get_params().items()}
        return parameters

    def set_params(self, **parameters: Any) -> Self:
        """Change `node__parameter=value`, `node=layer`, or what the pipeline was made with; it is unfitted then.

        The layers that were passed in, which other pipelines may share, stay as they are.

        Raises: PipelineError: there is no such node or parameter.
        """
        made_with = self.get_params(deep=False)
        changes: dict[Application, dict[str, Any]] = {}
        layers: dict[Application, Layer] = {}
        by_label = {label: node.application for node, label in self.graph.labels.items()}
        for key, value in parameters.items():
            if key in made_with:
                made_with[key] = value
                continue
            application = by_label.get(key)
            if application is not None and isinstance(value, Layer):
                layers[application] = value
                continue
            name = max(
                (label for label in self.graph.labels.values() if key.startswith(f"{label}__")), key=len, default=""
            )
            if not name:
                raise PipelineError(
                    f"{key} is not a parameter{did_you_mean(key, self.get_params())}; expected node__parameter=value"
                )
            changes.setdefault(self.graph.find(name), {})[key.removeprefix(f"{name}__")] = value
        if changes or layers:
            counterpart = rebuilt(self.graph, lambda each: _changed(layers.get(each, each.layer), changes.get(each)))
            for role in ("outputs", "metrics", "explorers"):
                made_with[role] = [counterpart.get(node, node) for node in made_with[role]]
        self.__init__(**made_with)  # type: ignore[misc]
        return self

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted pipeline over the same graph, without a storage: trials would replace what is kept."""
        copied = type(self)(**{**self.get_params(deep=False), "storage": None})
        copied._container = self._container
        return copied

    def __sklearn_tags__(self) -> Any:
        """Return the tags of a transformer, and those of the model that gives the first output."""
        tags = transformer_tags()
        model = self._model()
        if model is not None:
            own = model.estimator.__sklearn_tags__()
            tags.estimator_type = own.estimator_type
            tags.classifier_tags, tags.regressor_tags = own.classifier_tags, own.regressor_tags
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return self._prepared.fitted is not None

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose what `transform` gives: "default" (Outputs), "pandas" or "polars"."""
        asked = checked_container(transform) or self._container
        self._container = None if asked == "default" else asked
        return self

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return a name for each column of the outputs beside each other.

        Raises: PipelineError: the pipeline is not fitted, so that the columns are not known.
        """
        fitted = self._prepared.fitted
        if fitted is None:
            raise PipelineError("fit the pipeline first; then the columns of its outputs are known")
        columns = dict(fitted.columns) if input_features is None else {"": tuple(map(str, input_features))}
        by_node = column_names(self.graph, self._prepared, columns)
        names = [name for node in self.graph.outputs for name in by_node[node]]
        if len(set(names)) < len(names):  # two outputs pass the same columns on
            specs = fitted.specs
            names = [each for node in self.graph.outputs for each in numbered(str(node.name), specs.get(node))]
        return np.asarray(names, dtype=object)

    def _as_table(self, outputs: Outputs, data: Any) -> Any:
        frame = outputs.to_pandas() if self._container == "pandas" else outputs.to_polars()
        names = self.get_feature_names_out() if self._prepared.fitted else outputs.column_names()
        if self._container == "polars":
            return frame.rename(dict(zip(frame.columns, names, strict=True)))
        frame.columns = list(names)
        if is_frame(data) and hasattr(data, "index"):
            masks = self.graph.outputs[0].observations
            values = self._prepared.arrange(data) if masks else {}
            frame.index = data.index[self._prepared.kept_ids(np.arange(len(data)), values)]
        return frame


def column_names(graph: Graph, prepared: Prepared, columns: Mapping[str, tuple[str, ...]]) -> dict[Node, list[str]]:
    """Return a name for each value of an observation at each node.

    Args:
        graph: the nodes.
        prepared: the fitted layers, and what the fit has seen at each node.
        columns: those of the frames that were given, by input; "" for one that was dealt out to the inputs.
    """
    names: dict[Node, list[str]] = {}
    rest = list(columns.get("", ()))
    for entry in graph.inputs:
        own = numbered(str(entry.name), prepared.specs.get(entry))
        names[entry] = rest[: len(own)] if len(own) > 1 and len(rest) >= len(own) else own
        if len(columns.get(str(entry.name), ())) == len(own):
            names[entry] = list(columns[str(entry.name)])
        rest = rest[len(own) :]
    for application in graph.applications:
        if application.layer.is_observer:
            continue
        given = prepared.layers[application].feature_names(*(names[node] for node in application.features))
        for node in application.outputs:
            own = numbered(graph.labels[node], prepared.specs.get(node))
            fits = given is not None and len(application.outputs) == 1 and len(given) == len(own)
            names[node] = list(given) if fits and given is not None else own
    return names


def _changed(layer: Layer, changes: Mapping[str, Any] | None) -> Layer:
    if changes is None:
        return layer
    from sklearn.base import clone

    changed: Layer = clone(layer).set_params(**changes)
    return changed
