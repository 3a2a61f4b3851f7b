"""scikit-learn's protocol for layers: parameters, clones, tags, tables in and out."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.tables import as_array, as_table, column_names, is_frame
from mlpipeline.errors import DataError, PipelineError, did_you_mean


class Estimator(ABC):
    """What scikit-learn's tools ask of an estimator, without importing scikit-learn.

    The parameters are those of `__init__`, kept in attributes of the same names.
    """

    _container: str | None = None  # what set_output asked for: "default", "pandas", "polars" or None

    @abstractmethod
    def fit(self, *arrays: Any, **options: Any) -> Any: ...

    @abstractmethod
    def transform(self, *arrays: Any, **options: Any) -> Any: ...

    @abstractmethod
    def feature_names(self, *names: Sequence[str]) -> Sequence[str] | None: ...

    @classmethod
    def _parameter_names(cls) -> list[str]:
        if cls.__init__ is object.__init__:
            return []
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; with `deep` those of an estimator among them as `name__parameter` too."""
        parameters: dict[str, Any] = {name: self._parameter(name) for name in self._parameter_names()}
        if deep:
            for name, value in list(parameters.items()):
                if hasattr(value, "get_params") and not isinstance(value, type):
                    parameters |= {f"{name}__{inner}": each for inner, each in value.get_params().items()}
        return parameters

    def _parameter(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise PipelineError(
                f"{type(self).__name__} has a parameter {name}, but no attribute self.{name}; keep it there, so that "
                "the layer can be copied, compared and saved"
            ) from None

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters, `name=value` or `name__parameter=value`.

        Raises: PipelineError: there is no such parameter, or it cannot have this value.
        """
        known = self._parameter_names()
        changed = {}
        for key, value in parameters.items():
            name, _, inner = key.partition("__")
            if name not in known:
                raise PipelineError(
                    f"{type(self).__name__}: {name} is not a parameter{did_you_mean(name, known)}; "
                    f"expected one of {', '.join(known) or 'none'}"
                )
            if inner:
                getattr(self, name).set_params(**{inner: value})
            else:
                changed[name] = value
        if changed:  # made anew, so that the values are checked
            self.__init__(**{**{name: self._parameter(name) for name in known}, **changed})  # type: ignore[misc]
        return self

    def __sklearn_clone__(self) -> Self:
        copied = type(self).__new__(type(self))
        copied.__dict__ |= {key: value for key, value in self.__dict__.items() if key != "_metadata"}
        for name in self._parameter_names():
            copied.__dict__[name] = _cloned(self._parameter(name))
        return copied

    def __sklearn_tags__(self) -> Any:
        return transformer_tags()

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose what `transform` gives: "default" (arrays), "pandas" or "polars"."""
        self._container = checked_container(transform) or self._container
        return self

    def fit_transform(self, X: Any, y: Any = None, **arguments: Any) -> Any:  # noqa: N803
        """Fit, and transform the same data."""
        self.fit(X, **arguments) if y is None else self.fit(X, y, **arguments)
        return self.transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return a name for each column that `transform` gives, as scikit-learn asks for them."""
        learned = list(self.__dict__.get("_names_in", ())) if input_features is None else list(input_features)
        names = self.feature_names(learned) if learned else None
        if names is None:
            width = self.__dict__.get("_width")
            if width is None:
                raise PipelineError(f"{type(self).__name__}: transform some data first; then the columns are known")
            names = [f"{type(self).__name__.lower()}{i}" for i in range(width)]
        return np.asarray(names, dtype=object)

    def __repr__(self) -> str:
        kept = {name: getattr(self, name) for name in self._parameter_names() if hasattr(self, name)}
        shown = ", ".join(f"{name}={_short(value)}" for name, value in kept.items())
        return f"{type(self).__name__}({shown})"


def accepting_tables(transform: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `transform` that takes frames and lists too, and gives what `set_output` asked for."""

    @functools.wraps(transform)
    def transform_tables(self: Any, *given: Any, **options: Any) -> Any:
        arrays = [as_array(each) for each in given]
        if given:
            _check_columns(self, given[0])
        result = transform(self, *arrays, **options)
        if isinstance(result, np.ndarray):
            self.__dict__["_width"] = int(np.prod(result.shape[1:]))
        if given and not ("_names_in" in self.__dict__ and hasattr(self, "metadata")):  # a fit's columns are kept
            note_columns(self, given[0], arrays[0])
        if self._container in ("pandas", "polars"):
            return as_table(self._container, result, self.get_feature_names_out(), given[0])
        return result

    return transform_tables


def fitting_tables(fit: Callable[..., Any], clears: bool) -> Callable[..., Any]:
    """Return a `fit` that takes frames and lists too, drops a y that it has no use for, and returns the estimator."""

    @functools.wraps(fit)
    def fit_tables(self: Any, *given: Any, **options: Any) -> Any:
        from mlpipeline.dataflow.layer import accepted_arrays

        if clears:
            self.metadata = {}
        arrays = [as_array(each) for each in given[: accepted_arrays(fit)] if each is not None]
        fit(self, *arrays, **options)
        if arrays:
            note_columns(self, given[0], arrays[0])
        return self

    return fit_tables


def checked_container(asked: str | None) -> str | None:
    """Return what `set_output` was asked for.

    Raises: PipelineError: there is no such container.
    """
    if asked not in (None, "default", "pandas", "polars"):
        raise PipelineError(f"set_output: expected default, pandas or polars, but got {asked!r}")
    return asked


def note_columns(estimator: Any, given: Any, array: Array) -> None:
    """Keep the names of the columns that an estimator has been given."""
    if array.ndim:
        estimator.__dict__["_names_in"] = column_names(given, array)


def _check_columns(estimator: Any, given: Any) -> None:
    """Refuse a frame whose columns are not those of the fit, in their order."""
    known = estimator.__dict__.get("_names_in")
    if known is None or not is_frame(given) or not hasattr(estimator, "metadata") or known[:1] == ["x0"]:
        return
    names = [str(name) for name in given.columns]
    if names != known:
        raise DataError(
            f"expected the columns of the fit, {', '.join(known)}, in this order, but got {', '.join(names)}"
        )


def transformer_tags() -> Any:
    """Return the tags that scikit-learn asks for of what transforms anything and checks it itself."""
    from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

    return Tags(
        estimator_type=None,
        target_tags=TargetTags(required=False),
        transformer_tags=TransformerTags(),
        input_tags=InputTags(allow_nan=True, string=True, three_d_array=True),
    )


def _cloned(value: Any) -> Any:
    if hasattr(value, "get_params") and not isinstance(value, type):
        from sklearn.base import clone

        return clone(value)
    return value


def _short(value: Any) -> str:
    text = f"array{value.shape}" if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
