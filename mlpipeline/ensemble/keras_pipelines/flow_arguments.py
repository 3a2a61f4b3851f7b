"""FlowArguments: how images are changed while models are trained and predict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlpipeline.ensemble.augmentation import read_trio
from mlpipeline.ensemble.keras_pipelines.base_pipeline import BasePipeline, check_whole
from mlpipeline.errors import EnsembleError


@dataclass(eq=False)
class FlowArguments(BasePipeline):
    """What the pipelines of images have in common; `KerasFlowPipeline` explains the arguments."""

    train_datagen: Any = field(default=None, kw_only=True)
    valid_datagen: Any = field(default=None, kw_only=True)
    test_datagen: Any = field(default=None, kw_only=True)
    number_test_augmentations: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("number_test_augmentations", self.number_test_augmentations, 1)
        trio = read_trio(self.train_datagen, self.valid_datagen, self.test_datagen, "channels_last")
        if self.number_test_augmentations > 1 and not trio.test.is_random:
            raise EnsembleError(
                f"number_test_augmentations={self.number_test_augmentations} would average equal predictions, since "
                "test images are not changed at random; give a random test_datagen"
            )

    def _augmentation(self) -> dict[str, Any]:
        return {
            "train_augmentation": self.train_datagen,
            "valid_augmentation": self.valid_datagen,
            "test_augmentation": self.test_datagen,
            "test_passes": self.number_test_augmentations,
        }
