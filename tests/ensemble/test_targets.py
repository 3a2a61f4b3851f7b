"""What y says, in every kind that users bring."""

import numpy as np
import pandas as pd
import pytest
import torch

from mlpipeline.ensemble.targets import check_alike, read_targets
from mlpipeline.errors import EnsembleError

NAMES = ["cat", "dog", "cat", "emu"]
NUMBERS = [0, 1, 0, 2]


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (NAMES, ["cat", "dog", "emu"]),
        (NUMBERS, [0, 1, 2]),
        ([[0], [1], [0], [2]], [0, 1, 2]),
        ([True, False, True, True], [False, True]),
        (pd.Series(NAMES, index=[9, 8, 7, 6]), ["cat", "dog", "emu"]),
        (pd.Series(NAMES, dtype="category"), ["cat", "dog", "emu"]),
        (pd.Series(NAMES, dtype="string[pyarrow]"), ["cat", "dog", "emu"]),
        (pd.Series(NUMBERS, dtype="Int64"), [0, 1, 2]),
        (pd.Series(NUMBERS, dtype="int64[pyarrow]"), [0, 1, 2]),
        (np.array(NUMBERS, dtype=object), [0, 1, 2]),
        (torch.tensor(NUMBERS), [0, 1, 2]),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_labels_are_numbered_in_sorted_order(y, classes):
    array, targets = read_targets(y, None)
    assert targets.classes.tolist() == classes
    assert [classes[number] for number in targets.indices(array)] == np.asarray(y).reshape(-1).tolist()


def test_one_hot_rows_have_the_columns_as_classes():
    array, targets = read_targets(pd.DataFrame(np.eye(3)[NUMBERS]), None)
    assert (targets.kind, targets.is_one_hot, targets.indices(array).tolist()) == ("classes", True, NUMBERS)


@pytest.mark.parametrize(
    "y", [[0.5, 1.0, 2.0], list(range(30)), [[0.5, 1], [1, 2]], [1, 2.5], torch.tensor([0.0, 1.5], requires_grad=True)]
)
def test_numbers_that_are_no_labels_are_values(y):
    array, targets = read_targets(y, None)
    assert (targets.kind, targets.classes, array.dtype.kind in "if") == ("values", None, True)


def test_a_classifier_takes_whole_numbers_stored_as_floats_for_labels():
    array, targets = read_targets([0.0, 1.0, 0.0], "classes")
    assert targets.indices(array).tolist() == [0, 1, 0]
    assert targets.labels(np.array([[0.2], [0.7]])).tolist() == [0.0, 1.0]


def test_predictions_become_labels_from_one_column_or_from_all():
    _, targets = read_targets(NAMES, None)
    assert targets.labels(np.eye(3)[[2, 0]]).tolist() == ["emu", "cat"]
    _, two = read_targets(["no", "yes"], None)
    assert two.labels(np.array([[0.4], [0.6]])).tolist() == two.labels(np.array([[0.6, 0.4], [0.4, 0.6]])).tolist()


def test_a_label_that_is_none_of_the_classes_is_named():
    _, targets = read_targets(NAMES, None)
    with pytest.raises(EnsembleError, match="'cow' is none of the 3 classes"):
        targets.indices(np.array(["dog", "cow"]))


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        ([0, 1, None], None, "missing or infinite in 1 rows, the first of them row 2"),
        (["a", float("nan")], None, "row 1"),
        ([0.5, np.inf], None, "row 1"),
        (pd.Series([1, None], dtype="Int64"), None, "row 1"),
        (["a", 1], None, "mixes int, str"),
        (np.array([0, True], dtype=object), None, "mixes bool, int"),
        ([[1, 1, 0], [1, 0, 0]], None, r"row 0 is \[1, 1, 0\]; give one-hot rows"),
        ([[1, 1, 0], [1, 0, 0]], "classes", r"in which row 0 is \[1, 1, 0\]"),
        ([[0, 0], [0, 1]], None, r"row 0 is \[0, 0\]"),
        ([0.5, 1.5], "classes", "holds 0.5; train a regression"),
        (["a", "b"], "values", "numbers for a regression"),
        ([1, 1], None, "the one class 1 only"),
        ([1, 2], "clases", "task must be"),
        ([], None, r"has the shape \(0,\)"),
        (np.zeros((2, 2, 2)), None, r"has the shape \(2, 2, 2\)"),
        ([[1, 2], [3]], None, "must be an array or a list"),
        (np.array(["2020-01-01"], dtype="M8[D]"), None, r"has datetime64\[D\]"),
        ([object(), object()], None, "has object"),
        (None, None, "y is missing"),
    ],
)
def test_targets_that_cannot_be_used_are_refused(y, task, message):
    with pytest.raises(EnsembleError, match=message):
        read_targets(y, task)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (np.eye(3), "train holds labels and valid rows of 3; give both as labels or both as one-hot"),
        (np.array(NAMES), "give both the same labels"),
    ],
)
def test_one_hot_rows_and_labels_cannot_be_mixed(second, message):
    with pytest.raises(EnsembleError, match=message):
        check_alike(np.array(NUMBERS), second, ("train", "valid"))
    check_alike(np.array(NUMBERS), np.array([1.0]), ("train", "valid"))


def test_floats_that_are_all_0_and_1_are_two_classes():
    assert read_targets(np.array([0.0, 1.0, 1.0]), None)[1].kind == "classes"
    assert read_targets(np.array([0.0, 1.0, 2.0]), None)[1].kind == "values"
    assert read_targets(np.array([0.0, 1.0, 1.0]), "values")[1].kind == "values"
