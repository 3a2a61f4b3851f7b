"""Layer: what is done to arrays. It describes; what a fit has learned belongs to a node of a pipeline."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from mlpipeline.dataflow.estimator import Estimator, accepting_tables, fitting_tables, note_columns
from mlpipeline.dataflow.node import Node, apply_layer
from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.dataflow.tables import as_array
from mlpipeline.errors import PipelineError

if TYPE_CHECKING:
    from mlpipeline.dataflow.affine import Affine


class Layer(Estimator):
    """What every layer is. Extend `StatelessLayer` or `StatefulLayer` and write `transform`.

    A layer is called on a node or a list of nodes, and gives a node: `Whiten()(x, "white")`. The
    same layer may be called many times. On its own it is a scikit-learn transformer as well.

    Args:
        n_outputs: how many arrays `transform` returns; with more than one, a call gives a list of nodes.
    """

    n_outputs: int = 1
    changes_observations: ClassVar[bool] = False  # True: the last input is a mask that selects observations
    checks_itself: ClassVar[bool] = False  # True: what `transform` returns needs no check
    is_observer: ClassVar[bool] = False  # True: a metric or an explorer, which is run only when asked for
    compute: Callable[..., Any]  # `transform` as it was written: arrays in, arrays out

    def __init__(self, n_outputs: int | None = None) -> None:
        if n_outputs is not None and n_outputs != self.n_outputs:
            self.n_outputs = n_outputs

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        written = cls.__dict__.get("transform")
        if written is not None:
            if "compute" not in cls.__dict__:
                cls.compute = written
            cls.transform = accepting_tables(written)  # type: ignore[method-assign]

    def __call__(self, nodes: Node | Sequence[Node], name: str | Sequence[str] | None = None) -> Any:
        """Apply the layer to nodes.

        Args:
            nodes: one node or a list of them.
            name: what to call the result; outputs of a pipeline need one. A list of names for several outputs.
        Returns: a node, or a list of nodes when the layer has several outputs.
        Raises: PipelineError: the layer does not fit on these nodes.
        """
        return apply_layer(self, nodes, name)

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [] if cls.__init__ is Layer.__init__ else super()._parameter_names()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; the number of outputs, where a layer without parameters of its own has it."""
        own = (
            {"n_outputs": self.n_outputs} if type(self).__init__ is Layer.__init__ and "n_outputs" in vars(self) else {}
        )
        return super().get_params(deep) | own

    def transform(self, *arrays: Any, **options: Any) -> Any:
        """Return what becomes of the arrays; axis 0 is the observations, and stays as long as it is."""
        raise PipelineError(f"{type(self).__name__} has no transform: write `def transform(self, X): ...`")

    @property
    def joins_columns(self) -> bool:
        """Whether rows (n, k) give their columns beside each other, and nothing else happens."""
        return False

    def label_count(self, n_inputs: int) -> int:
        """Return how many of the inputs, counted from the last, are there for fitting only."""
        return 0

    def infer(self, *specs: Any, **options: Any) -> Spec | tuple[Spec, ...]:
        """Return what is known of the outputs from what is known of the inputs.

        Raises: PipelineError: these inputs cannot work; says what was expected.
        """
        return Spec() if self.n_outputs == 1 else (Spec(),) * self.n_outputs

    def affine(self, spec: Spec) -> Affine | None:
        """Return the fitted layer as an affine map of observations like these, if it is one."""
        return None

    def affine_link(self, spec: Spec) -> tuple[Affine, Callable[[Array], Array] | None] | None:
        """Return the fitted layer as an affine map and what is done to its results, if it is that."""
        affine = self.affine(spec)
        return None if affine is None else (affine, None)

    def streamed(self) -> Callable[..., Any]:
        """Return what to call on each batch of one stream, in order; it may remember earlier batches."""
        return self.compute

    def feature_names(self, *names: Sequence[str]) -> Sequence[str] | None:
        """Return a name for each value of an observation of the output, from those of the inputs; None: number them."""
        return None


Layer.compute = Layer.transform  # what says that a layer has no transform


class StatelessLayer(Layer):
    """A layer with nothing to learn: write `transform`."""

    def fit(self, *arrays: Any, **options: Any) -> Any:
        """Do nothing; what has no state is always fitted."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True


class StatefulLayer(Layer):
    """A layer that learns: write `fit` or `partial_fit`, and `transform`.

    What is learned goes into the dictionary `self.metadata`: arrays, numbers, texts, and lists and
    dictionaries of them. `fit` is given all observations; `partial_fit` a batch after the other,
    and makes the layer usable on data that does not fit in memory.
    """

    is_iterative: ClassVar[bool] = True  # seeing the same data again teaches more; False for statistics
    _written_fit: ClassVar[Callable[..., Any] | None] = None
    _written_partial_fit: ClassVar[Callable[..., Any] | None] = None

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for method in ("fit", "partial_fit"):
            written = cls.__dict__.get(method)
            if written is not None:
                setattr(cls, f"_written_{method}", written)
                setattr(cls, method, fitting_tables(written, clears=method == "fit"))
        if "partial_fit" in cls.__dict__ and "fit" not in cls.__dict__:
            cls._written_fit = None  # an inherited fit would not know of it
            cls.fit = StatefulLayer.fit  # type: ignore[method-assign]

    @property
    def metadata(self) -> dict[str, Any]:
        """What was learned, by name."""
        learned: dict[str, Any] = self.__dict__.setdefault("_metadata", {})
        return learned

    @metadata.setter
    def metadata(self, learned: dict[str, Any]) -> None:
        self.__dict__["_metadata"] = learned

    @property
    def can_stream(self) -> bool:
        """Whether the layer can be fitted batch by batch."""
        return type(self)._written_partial_fit is not None

    def fit(self, *arrays: Any, **options: Any) -> Any:
        """Learn from all observations, and forget what was known before."""
        given = [as_array(each) for each in arrays[: self._fitted_inputs(len(arrays))] if each is not None]
        self.learn(*given)
        note_columns(self, arrays[0], given[0])
        return self

    def partial_fit(self, *arrays: Any, **options: Any) -> Any:
        """Learn from one more batch."""
        raise PipelineError(
            f"{type(self).__name__} cannot be fitted batch by batch: it has no partial_fit. Fit the pipeline on the "
            "whole data with `fit`, or give the layer a `partial_fit` that merges a batch into self.metadata"
        )

    def learn(self, *arrays: Array, epochs: int = 1) -> None:
        """Learn from all observations with the `fit` that was written or, without one, with `partial_fit`."""
        self.metadata = {}
        written = type(self)._written_fit
        if written is None:
            for _ in range(epochs if self.is_iterative else 1):
                self.learn_more(*arrays)
        elif "epochs" in inspect.signature(written).parameters:
            written(self, *arrays, epochs=epochs)
        else:
            written(self, *arrays)

    def learn_more(self, *arrays: Array) -> None:
        """Learn from one more batch with the `partial_fit` that was written."""
        written = type(self)._written_partial_fit or StatefulLayer.partial_fit
        written(self, *arrays)

    def unfitted_copy(self) -> StatefulLayer:
        """Return a copy that has learned nothing, and shares nothing that a fit could change."""
        memory: dict[int, Any] = {id(self.metadata): {}}
        return copy.deepcopy(self, memory)

    def fitted_copy(self) -> StatefulLayer:
        """Return a copy that knows the same and can learn more on its own."""
        return copy.deepcopy(self)

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self.metadata)

    def _fitted_inputs(self, given: int) -> int:
        """Return how many of the given arrays `partial_fit` takes: scikit-learn passes a y that it may not want."""
        written = type(self)._written_partial_fit
        return given if written is None else min(given, accepted_arrays(written))


def accepted_arrays(method: Callable[..., Any]) -> int:
    """Return how many arrays a method takes at most, not counting `self`."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return 1_000_000
    return sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters
    )


class OfFunction(Estimator):
    """What a layer is that is made of a function and its keyword arguments, which are its parameters."""

    function: Callable[..., Any]
    kwargs: dict[str, Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the function and its keyword arguments."""
        return {"function": self.function, **self.kwargs}

    def set_params(self, **parameters: Any) -> Self:
        """Change the function or some of its keyword arguments.

        Raises: PipelineError: they do not go together.
        """
        self.__init__(**{**self.get_params(), **parameters})  # type: ignore[misc]
        return self


class Lambda(OfFunction, StatelessLayer):
    """A function of arrays as a layer.

    Args:
        function: is given one array for each node, and the keyword arguments; returns an array.
        kwargs: keyword arguments of the function.
    """

    def __init__(self, function: Callable[..., Any], **kwargs: Any) -> None:
        if not callable(function):
            raise PipelineError(f"Lambda: expected a function of arrays, but got {type(function).__name__}")
        self.function = function
        self.kwargs = kwargs

    @property
    def compute(self) -> Callable[..., Any]:  # type: ignore[override]
        """The function itself, without a step between."""
        return partial(self.function, **self.kwargs) if self.kwargs else self.function

    def transform(self, *arrays: Any, **options: Any) -> Any:
        return self.function(*arrays, **self.kwargs)
