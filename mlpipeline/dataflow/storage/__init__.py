"""Where a pipeline's outputs are kept, to be looked up and to be found again: a folder or a database."""

from mlpipeline.dataflow.storage.base import Run, Storage
from mlpipeline.dataflow.storage.opening import open_storage

__all__ = ["Run", "Storage", "open_storage"]
