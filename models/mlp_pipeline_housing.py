"""What is a house worth, with a data pipeline as data loader: skewed columns by their logarithm, one column by label.

The pipeline is fitted on the training rows alone, and takes raw rows when the model predicts. Column
`b` of this old data set is made from the share of Black residents, and is left out here.
"""

from dataclasses import replace

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from mlpipeline.dataflow import Input, Pipeline, layers
from mlpipeline.dataflow.io import CSVData
from mlpipeline.pytorch import ArrayLoader, Parts, TensorLoader, TorchModel
from mlpipeline.utils import Version, Versions

COLUMNS = ["crim", "zn", "indus", "chas", "nox", "rm", "age", "dis", "rad", "tax", "ptratio", "b", "lstat", "value"]
SKEWED = ["crim", "zn", "dis", "lstat"]
PLAIN = ["indus", "nox", "rm", "age", "tax", "ptratio"]


def make_features() -> Pipeline:
    """From the columns of the table to one row of numbers for each tract."""
    columns = {name: Input(name) for name in [*SKEWED, *PLAIN, "chas", "rad"]}
    logarithm = layers.Lambda(np.log1p)
    numbers = [logarithm(columns[name]) for name in SKEWED] + [columns[name] for name in PLAIN]
    highways = layers.OneHotLabels()(columns["rad"])
    white = layers.Whiten()(layers.Concatenate()(numbers))
    features = layers.Concatenate()([white, columns["chas"], highways])
    return Pipeline(list(columns.values()), layers.Cast("float32")(features, "features"), name="housing", version=1)


class Tracts(TensorLoader):
    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.pipeline = make_features()

    def load(self) -> Parts:
        data = CSVData("data/housing.csv", header=None, names=COLUMNS, exclude_cols=["b"])
        value = data.pop("value")
        train, test = train_test_split(np.arange(len(value)), test_size=0.33, random_state=self.seed)
        self.pipeline.fit({name: column[train] for name, column in data.items()})
        rows = self.pipeline.transform(data)["features"]
        arrays = ArrayLoader(rows[train], value[train], (rows[test], value[test]), task="regression", scale="none")
        return replace(arrays.load(), encode=self.encode_rows)

    def encode_rows(self, rows: dict[str, np.ndarray]) -> Tensor:
        return torch.from_numpy(self.pipeline.transform(rows)["features"])


class Housing(TorchModel):
    def build(self, version: Version) -> nn.Module:
        loader, width = version["dataloader"], version["width"]
        features = loader.feature_count  # loads the data and fits the pipeline
        self.add_to_summary(loader.pipeline.summary())
        return nn.Sequential(
            nn.Linear(features, width),
            nn.ReLU(),
            nn.Dropout(version["dropout"]),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, loader.output_count),
        )

    def optimizer(self, parameters: list[nn.Parameter], version: Version) -> Optimizer:
        return AdamW(parameters, lr=version["learning_rate"], weight_decay=0.3, fused=True)

    def scheduler(self, optimizer: Optimizer, version: Version, steps: int) -> LRScheduler:
        return OneCycleLR(optimizer, max_lr=version["learning_rate"], total_steps=steps)


versions = Versions(dataloader=Tracts, batch_size=32, epoc_count=100, learning_rate=0.01, dropout=0.1)
versions.grid({"width": [32, 64]}, name="width{width}")

MODEL = Housing(versions)
