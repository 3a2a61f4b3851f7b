"""Allowed: the classes and functions that a file may name without being trusted. Fixed lists; pure functions only.

A file calls a layer of mlpipeline `mlpipeline:Whiten`, wherever its module lies, so that modules can be moved.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from types import FunctionType, MethodDescriptorType
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import Layer

_PLACES = {
    "layer": "Lambda",
    "metrics": "Accuracy Metric",
    "explorers.explorer": "Correlate Describe Histogram Scatter",
    "layers.fields": "SplitDict",
    "layers.image": "Downsample RGBtoBinary RGBtoGrey Upsample",
    "layers.keras_layer": "Keras",
    "layers.missing": "Impute ImputeMean ImputeMedian ImputeMode",
    "layers.numeric": "Add Divide Dot ElementWiseMultiply Normalize ScalarMultiply StaticDot Subtract Whiten",
    "layers.onehot": "OneHotLabels OneHotRange",
    "layers.shaping": "AddDim Cast Concatenate Filter Flatten Reshape Slice",
    "layers.sklearn_layer": "Sklearn",
    "layers.text": "RemoveStopwords",
    "layers.torch_layer": "Torch",
    "layers.windows": "TimeSeries",
    "layertools": "Maybe Vectorized",
}
LAYERS = {name: place for place, names in _PLACES.items() for name in names.split()}

TYPES = {each.__name__: each for each in (bool, int, float, complex, str, bytes, list, tuple, dict, set, object)}
BUILTINS = {each.__name__: each for each in (abs, divmod, len, max, min, pow, round, sorted, sum)}

_ARRAYS = """
all allclose amax amin angle any append argmax argmin argpartition argsort argwhere around array array_equal
asarray ascontiguousarray astype atleast_1d atleast_2d atleast_3d average bincount broadcast_to clip column_stack
compress concatenate convolve copy corrcoef correlate count_nonzero cov cross cumprod cumsum delete diag diagonal
diff digitize dot dstack ediff1d einsum empty_like expand_dims extract fix flip fliplr flipud full_like gradient
histogram hstack imag inner insert interp isclose iscomplex isin isneginf isposinf isreal kron lexsort
matrix_transpose max mean median min moveaxis nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean
nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar ndim nonzero ones_like outer pad
percentile permute_dims polyval prod ptp quantile ravel real repeat reshape resize roll rollaxis rot90 round
searchsorted select setdiff1d shape sinc size sort split squeeze stack std sum swapaxes take take_along_axis
tensordot tile trace transpose trapezoid tril triu union1d unique unwrap vander var vdot vstack where zeros_like
"""
_MATRICES = "det eigh eigvalsh inv lstsq matrix_norm norm pinv qr slogdet solve svd vector_norm"
ARRAY_FUNCTIONS = frozenset(_ARRAYS.split())
LINEAR_ALGEBRA = frozenset(_MATRICES.split())


def allowed(name: str) -> Any:
    """Return the class or function that a file may name, or None. Only modules listed here are imported."""
    module, _, qualname = name.partition(":")
    find = _FINDERS.get(module)
    return None if find is None or qualname.startswith("_") else find(qualname)


def public_name(thing: Any) -> str | None:
    """Return the name under which a class or function is allowed, or None."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    for module in _FINDERS if isinstance(name, str) else ():
        if (module in sys.modules or module == "mlpipeline") and allowed(f"{module}:{name}") is thing:
            return f"{module}:{name}"
    return None


def _layer(name: str) -> Any:
    place = LAYERS.get(name)
    if place is None:
        return None
    found = getattr(importlib.import_module(f"mlpipeline.dataflow.{place}"), name)
    return found if isinstance(found, type) and issubclass(found, Layer) else None


def _builtin(name: str) -> Any:
    if name.startswith("str."):
        found = getattr(str, name[4:], None)
        # format and format_map reach into their arguments
        return found if isinstance(found, MethodDescriptorType) and not name.startswith(("str._", "str.form")) else None
    return TYPES.get(name) or BUILTINS.get(name)


def _of_numpy(name: str) -> Any:
    found = getattr(np, name, None) if name.isidentifier() else None
    is_type = isinstance(found, type) and issubclass(found, np.generic)
    return found if is_type or isinstance(found, np.ufunc) or name in ARRAY_FUNCTIONS else None


def _of_math(name: str) -> Any:
    return getattr(math, name, None) if callable(getattr(math, name, None)) else None


def _of_metrics(name: str) -> Any:
    import sklearn.metrics

    return _listed(sklearn.metrics, name, sklearn.metrics.__all__, lambda found: isinstance(found, FunctionType))


def _of_special(name: str) -> Any:
    import scipy.special

    return _listed(scipy.special, name, scipy.special.__all__, lambda found: isinstance(found, np.ufunc))


def _of_torch_nn(name: str) -> Any:
    import torch

    return _listed(torch.nn, name, torch.nn.modules.__all__, lambda found: _extends(found, torch.nn.Module))


def _of_torch_functional(name: str) -> Any:
    import torch.nn.functional as functional

    def is_own(found: Any) -> bool:
        return isinstance(found, FunctionType) and found.__module__ == functional.__name__

    return _listed(functional, name, dir(functional), is_own)


def _of_torch_optim(name: str) -> Any:
    import torch

    return _listed(torch.optim, name, dir(torch.optim), lambda found: _extends(found, torch.optim.Optimizer))


def _listed(module: Any, name: str, names: Any, fits: Callable[[Any], bool]) -> Any:
    found = getattr(module, name) if name in names else None
    return found if fits(found) else None


def _extends(found: Any, base: type) -> bool:
    return isinstance(found, type) and issubclass(found, base)


_FINDERS: dict[str, Callable[[str], Any]] = {
    "mlpipeline": _layer,
    "builtins": _builtin,
    "numpy": _of_numpy,
    "numpy.linalg": lambda name: getattr(np.linalg, name) if name in LINEAR_ALGEBRA else None,
    "math": _of_math,
    "sklearn.metrics": _of_metrics,
    "scipy.special": _of_special,
    "torch.nn": _of_torch_nn,
    "torch.nn.functional": _of_torch_functional,
    "torch.optim": _of_torch_optim,
}
