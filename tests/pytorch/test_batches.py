from __future__ import annotations

import math

import pytest
import torch

from mlpipeline.pytorch.batches import Rows, Stretch, end_row, shuffled_batches


def numbered(count: int) -> Rows:
    return Rows(torch.arange(count)[:, None].float(), torch.arange(count))


def seen(rows: Rows, size: int, epochs: int, first_step: int = 0, seed: int = 3) -> list[list[int]]:
    last_step = math.ceil(epochs * len(rows) / size)
    stretch = Stretch(size, seed, first_step * size, end_row(len(rows), size, epochs, last_step))
    return [batch.targets.tolist() for batch in shuffled_batches(rows, stretch)]


@pytest.mark.parametrize(("count", "size"), [(10, 4), (10, 10), (10, 32), (10, 1), (7, 3)])
def test_every_epoch_holds_every_row_once(count: int, size: int) -> None:
    stream = [row for batch in seen(numbered(count), size, 5) for row in batch]
    epochs = [stream[start : start + count] for start in range(0, 5 * count, count)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5


def test_number_of_batches_is_that_of_the_pipeline() -> None:
    assert len(seen(numbered(10), 4, 3)) == math.ceil(3 * 10 / 4)


@pytest.mark.parametrize("first_step", [1, 2, 3, 7])
def test_stream_goes_on_from_any_step_as_if_never_left(first_step: int) -> None:
    assert seen(numbered(10), 4, 3, first_step) == seen(numbered(10), 4, 3)[first_step:]


def test_last_batch_never_holds_a_single_row() -> None:
    assert [len(batch) for batch in seen(numbered(9), 4, 1)] == [4, 4, 2]


def test_epoch_ends_in_the_batch_that_holds_its_last_row() -> None:
    batches = shuffled_batches(numbered(10), Stretch(4, 0, 0, 30))
    assert [batch.ends_epoch for batch in batches] == [False, False, True, False, True, False, False, True]


def test_inputs_and_targets_stay_together_when_gathered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlpipeline.pytorch.batches._GATHERED_BYTES", 1)
    for batch in shuffled_batches(numbered(10), Stretch(4, 0, 0, 20)):
        assert batch.inputs[:, 0].tolist() == batch.targets.tolist()


def test_other_seeds_give_other_orders() -> None:
    assert seen(numbered(50), 8, 1, seed=1) != seen(numbered(50), 8, 1, seed=2)
