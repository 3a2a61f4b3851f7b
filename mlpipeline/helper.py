"""Door: what a model script extends."""

from mlpipeline.model import DataLoader, Dataloader, Model

__all__ = ["DataLoader", "Dataloader", "Model"]
