from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from mlpipeline.errors import DataError
from mlpipeline.pytorch import ImageLoader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a data set of the format and names of MNIST: 6 training and 4 test images."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, count in (("train", 6), ("t10k", 4)):
        pixels = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">iiii", 0x803, count, 28, 28) + pixels.tobytes())
        labels = np.arange(count, dtype=np.uint8)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 0x801, count) + labels.tobytes())
    return tmp_path


def test_images_stay_bytes_until_a_batch_is_cut(folder: Path) -> None:
    loader = ImageLoader("MNIST", folder)
    rows = loader.get_train_input()
    inputs, targets = next(rows.in_order(6))
    assert rows.inputs.dtype == torch.uint8
    assert (inputs.dtype, inputs.shape, targets.tolist()) == (torch.float32, (6, 1, 28, 28), [0, 1, 2, 3, 4, 5])
    assert abs(inputs.mean()) < 1e-4
    assert abs(inputs.std() - 1) < 1e-3


def test_raw_images_are_encoded_as_the_training_part_is(folder: Path) -> None:
    loader = ImageLoader("MNIST", folder)
    rows = loader.get_train_input()
    inputs, _ = next(rows.in_order(6))
    assert torch.equal(loader.encode(rows.inputs[:, 0].numpy()), inputs)
    assert loader.encode(rows.inputs[0, 0].numpy()).shape == (1, 1, 28, 28)


def test_pixels_from_0_to_1_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="multiply them by 255"):
        ImageLoader("MNIST", folder).encode(np.full((2, 28, 28), 0.5))


def test_part_of_the_training_images_can_be_used(folder: Path) -> None:
    assert ImageLoader("MNIST", folder, train_count=3).get_train_sample_count() == 3


def test_missing_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"MNIST is not in .*MNIST/raw"):
        _ = ImageLoader("MNIST", tmp_path).parts


def test_pickled_data_set_is_not_read(folder: Path) -> None:
    processed = folder / "MNIST" / "processed"
    processed.mkdir()
    for name in ("training.pt", "test.pt"):
        (processed / name).write_bytes(b"a pickle")
    with pytest.raises(DataError, match="pickles of an old torchvision"):
        _ = ImageLoader("MNIST", folder).parts


def test_data_sets_of_pickles_are_not_known() -> None:
    with pytest.raises(DataError, match="ArrayLoader"):
        ImageLoader("CIFAR10")
