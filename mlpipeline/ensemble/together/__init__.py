"""All members at once: their weights stacked along a new axis, one pass over the data per step."""

from mlpipeline.ensemble.together.training import train_together

__all__ = ["train_together"]
