"""Door: what a model script extends."""

from mlpipeline.model import Dataloader, DataLoader, Model

__all__ = ["DataLoader", "Dataloader", "Model"]
