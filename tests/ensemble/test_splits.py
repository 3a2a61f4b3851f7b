"""Splits: what is saved is what is read, or an error."""

import json

import pytest

from mlpipeline.ensemble import Folds, GivenSplits, Splits
from mlpipeline.errors import EnsembleError


@pytest.fixture
def splits():
    return Folds(3).split(10, seed=5)


def test_splits_are_read_as_they_were_written(splits):
    again = Splits.from_json(splits.to_json())
    assert (again.kind, again.description, again.seed, again.row_count) == ("fold", repr(Folds(3)), 5, 10)
    assert [each.train.tolist() for each in again] == [each.train.tolist() for each in splits]
    assert [each.valid.tolist() for each in again] == [each.valid.tolist() for each in splits]
    assert again.digest == splits.digest


def test_the_digest_is_the_same_in_every_process_and_version():
    splits = GivenSplits([([0, 1], [2]), ([2], [0, 1])]).split(3, seed=5)
    assert splits.digest == "f76a668041afd16754e84201475cb3c1"
    assert GivenSplits([([0, 1], [2]), ([2], [1, 0])]).split(3).digest != splits.digest


def test_members_are_named_by_their_kind(splits):
    assert [splits.name(number) for number in range(len(splits))] == ["fold0", "fold1", "fold2"]


def changed(splits, **values):
    return json.dumps({**json.loads(splits.to_json()), **values})


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", '{"format": 1}', b"\xff", '{"format": "x"}', "[" * 5000],
    ids=["empty", "list", "number", "keys", "bytes", "word", "deep"],
)
def test_a_damaged_text_is_a_clear_error(text):
    with pytest.raises(EnsembleError, match=r"plan\.json is damaged"):
        Splits.from_json(text, "plan.json")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 2}, "format 2, but this version reads up to 1"),
        ({"members": [{"train": [0], "valid": [1]}]}, "do not have its digest"),
        ({"members": [{"train": [0], "valid": [10]}]}, "rows must be from 0 to 9"),
        ({"members": [{"train": [10**30], "valid": [1]}]}, "damaged"),
        ({"kind": "../fold"}, "kind must be bag"),
        ({"row_count": "ten"}, "damaged"),
    ],
)
def test_values_that_cannot_be_are_refused(splits, values, message):
    with pytest.raises(EnsembleError, match=message):
        Splits.from_json(changed(splits, **values))
