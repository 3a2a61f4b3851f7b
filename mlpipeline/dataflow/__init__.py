"""Named, versioned data pipelines over NumPy arrays: inputs, layers called on nodes, a pipeline.

    images = Input("image", (48, 48, 3))
    grey = layers.RGBtoGrey(keep_dim=True)(images, "grey")
    pipeline = Pipeline(images, grey, name="grey_images", version=1)
    outputs = pipeline.transform({"image": array})

docs/dataflow.md tells the rest.
"""

from mlpipeline.dataflow import explorers, io, layers, layertools, metrics, nodes, storage
from mlpipeline.dataflow.nodes import Input, Node, from_csv, from_dataframe, from_sql
from mlpipeline.dataflow.outputs import Outputs
from mlpipeline.dataflow.pipeline import Pipeline
from mlpipeline.dataflow.saving import load_pipeline

__all__ = [
    "Input",
    "Node",
    "Outputs",
    "Pipeline",
    "explorers",
    "from_csv",
    "from_dataframe",
    "from_sql",
    "io",
    "layers",
    "layertools",
    "load_pipeline",
    "metrics",
    "nodes",
    "storage",
]
