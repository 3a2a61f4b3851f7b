from __future__ import annotations

import numpy as np
import pytest

from mlpipeline.errors import DataError
from mlpipeline.pytorch import ArrayLoader
from tests.pytorch.life_cycle import rows


def test_given_test_part_is_kept_apart() -> None:
    loader = ArrayLoader(rows(10, 3), np.arange(10.0), test=(rows(4, 3, seed=1), np.arange(4.0)))
    assert (loader.get_train_sample_count(), loader.get_test_sample_count()) == (10, 4)


def test_images_are_scaled_by_one_mean_and_deviation() -> None:
    pixels = np.random.default_rng(0).integers(0, 16, (20, 1, 4, 4))
    loader = ArrayLoader(pixels, np.arange(20) % 2, task="binary", scale="whole", test=(pixels[:5], np.arange(5) % 2))
    assert np.allclose(loader.get_train_input().inputs, (pixels - pixels.mean()) / pixels.std(), atol=1e-6)
    assert loader.input_shape == (1, 4, 4)


def test_targets_of_a_regression_are_standardised_and_come_back() -> None:
    values = np.random.default_rng(0).normal(100, 20, (30, 2))
    loader = ArrayLoader(rows(30, 3), values)
    targets = loader.get_train_input().targets
    assert loader.output_count == 2
    assert np.allclose(targets.mean(0), 0, atol=1e-6)
    assert np.allclose(targets.std(0, correction=0), 1, atol=1e-6)
    both = np.concatenate([loader.decode(targets), loader.decode(loader.get_test_input().targets)])
    assert np.allclose(np.sort(both, axis=0), np.sort(values, axis=0), atol=1e-4)


def test_callers_arrays_stay_as_they_are() -> None:
    inputs, targets = rows(10, 3), np.arange(10.0)
    before = inputs.copy()
    _ = ArrayLoader(inputs, targets).parts
    assert np.array_equal(inputs, before)


@pytest.mark.parametrize(
    ("inputs", "targets", "options", "message"),
    [
        (rows(3, 2), np.arange(4.0), {}, "same n"),
        (rows(3, 2), np.arange(3.0), {"scale": "rows"}, "scale must be one of"),
        (np.array([["a"], ["b"]]), np.arange(2.0), {}, "encode text"),
        (np.array([[np.nan], [1.0]]), np.arange(2.0), {}, "finite"),
        (rows(4, 2), np.array([1.0, np.nan, 2.0, 3.0]), {}, "finite"),
    ],
)
def test_what_is_wrong_is_named(inputs: object, targets: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        _ = ArrayLoader(inputs, targets, **options).parts  # type: ignore[arg-type]


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"must have the shape \(3,\)"):
        ArrayLoader(rows(9, 3), np.arange(9.0)).encode(rows(2, 4))
