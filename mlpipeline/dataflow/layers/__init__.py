"""Layers: what can be done to arrays."""

from mlpipeline.dataflow.layer import Lambda, Layer, StatefulLayer, StatelessLayer
from mlpipeline.dataflow.layers.fields import SplitDict
from mlpipeline.dataflow.layers.image import Downsample, RGBtoBinary, RGBtoGrey, Upsample
from mlpipeline.dataflow.layers.keras_layer import Keras
from mlpipeline.dataflow.layers.missing import Impute, ImputeMean, ImputeMedian, ImputeMode
from mlpipeline.dataflow.layers.numeric import (
    Add,
    Divide,
    Dot,
    ElementWiseMultiply,
    Normalize,
    ScalarMultiply,
    StaticDot,
    Subtract,
    Whiten,
)
from mlpipeline.dataflow.layers.onehot import OneHotLabels, OneHotRange
from mlpipeline.dataflow.layers.shaping import AddDim, Cast, Concatenate, Filter, Flatten, Reshape, Slice
from mlpipeline.dataflow.layers.sklearn_layer import Sklearn
from mlpipeline.dataflow.layers.text import RemoveStopwords
from mlpipeline.dataflow.layers.torch_layer import Torch
from mlpipeline.dataflow.layers.windows import TimeSeries

__all__ = [
    "Add",
    "AddDim",
    "Cast",
    "Concatenate",
    "Divide",
    "Dot",
    "Downsample",
    "ElementWiseMultiply",
    "Filter",
    "Flatten",
    "Impute",
    "ImputeMean",
    "ImputeMedian",
    "ImputeMode",
    "Keras",
    "Lambda",
    "Layer",
    "Normalize",
    "OneHotLabels",
    "OneHotRange",
    "RGBtoBinary",
    "RGBtoGrey",
    "RemoveStopwords",
    "Reshape",
    "ScalarMultiply",
    "Sklearn",
    "Slice",
    "SplitDict",
    "StatefulLayer",
    "StatelessLayer",
    "StaticDot",
    "Subtract",
    "TimeSeries",
    "Torch",
    "Upsample",
    "Whiten",
]
