"""Augmentation: images changed at random, or alike, batch by batch, whatever the library that says how."""

from mlpipeline.ensemble.augmentation.base import Augmentation, Identity
from mlpipeline.ensemble.augmentation.reading import Trio, read_augmentation, read_trio

__all__ = ["Augmentation", "Identity", "Trio", "read_augmentation", "read_trio"]
