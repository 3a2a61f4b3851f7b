"""The torch life cycle for model scripts: `TorchModel`, and data loaders that keep small data as tensors.

Call tree of a run:

    TorchModel.pre_execution_hook    build the network, the loss and the optimizer; read the checkpoint
    TorchModel.train_model           training.train: batches -> steps -> checkpoint after each epoch
    TorchModel.evaluate_model        evaluation.evaluate: batches -> outputs -> running metrics
    TorchModel.predict               raw rows -> the loader's scaling -> outputs -> labels or values
"""

from mlpipeline.pytorch.array_loader import ArrayLoader
from mlpipeline.pytorch.batches import Rows
from mlpipeline.pytorch.image_loader import ImageLoader
from mlpipeline.pytorch.loading import Parts, TensorLoader
from mlpipeline.pytorch.table_loader import TableLoader
from mlpipeline.pytorch.torch_model import TorchModel

__all__ = ["ArrayLoader", "ImageLoader", "Parts", "Rows", "TableLoader", "TensorLoader", "TorchModel"]
