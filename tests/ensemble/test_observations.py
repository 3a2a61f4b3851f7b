"""Rows of every kind: counted, taken, looked through for what is missing, told apart."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch

from mlpipeline.ensemble.observations import as_inputs, check_finite, count_rows, digest, take
from mlpipeline.errors import EnsembleError

ROWS = np.arange(12.0).reshape(4, 3)
KINDS = {
    "array": ROWS,
    "lists": ROWS.tolist(),
    "frame": pd.DataFrame(ROWS, index=list("dcba")),
    "polars": pl.DataFrame(ROWS),
    "csr": sp.csr_array(ROWS),
    "coo": sp.coo_matrix(ROWS),
    "tensor": torch.tensor(ROWS, requires_grad=True),
}


def dense(rows):
    return rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_every_kind_are_counted_and_taken(kind):
    rows = as_inputs(KINDS[kind])
    check_finite(rows)
    assert count_rows(rows) == 4
    assert np.array_equal(dense(take(rows, np.array([2, 0]))), ROWS[[2, 0]])


def test_arrays_by_name_are_taken_together():
    rows = as_inputs({"left": ROWS, "right": ROWS.tolist()})
    taken = take(rows, np.array([3]))
    assert {name: part.tolist() for name, part in taken.items()} == {"left": [[9, 10, 11]], "right": [[9, 10, 11]]}


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        (np.array([[1.0, 2], [3, np.inf]]), "row 1, column 1"),
        (np.array([[["a"], [None]]], dtype=object)[0], "row 1, column 0"),
        (pd.DataFrame({"a": [1, 2.0], "b": ["x", None]}), "row 1, column 1"),
        (pd.DataFrame({"a": [1, np.inf], "b": ["x", "y"]}), "row 1, column 0"),
        (pd.DataFrame({"a": pd.array([None, 1], dtype="Int64")}), "row 0, column 0"),
        (sp.coo_matrix(np.array([[0, 1], [0, np.nan]])), "row 1, column 1"),
        (torch.tensor([[1.0, float("nan")]]), "row 0, column 1"),
        ({"a": np.ones(2), "b": np.array([1, np.nan])}, "first in row 1"),
        (np.full((3, 2, 2), np.nan), "12 values"),
    ],
    ids=["array", "objects", "mixed", "infinite", "nullable", "sparse", "tensor", "names", "images"],
)
def test_what_is_missing_or_infinite_is_found(rows, where):
    with pytest.raises(EnsembleError, match=where):
        check_finite(as_inputs(rows))


def test_large_numbers_are_not_infinite():
    check_finite(np.full((4, 2), 1e308))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "X must hold rows, but is empty"),
        (3, "a single value"),
        ([[1, 2], [3]], "lists of equal length"),
        ({"a": ROWS, "b": ROWS[:2]}, "same number of rows"),
    ],
)
def test_what_holds_no_rows_is_refused(rows, message):
    with pytest.raises(EnsembleError, match=message):
        as_inputs(rows)


def test_a_digest_is_the_same_in_every_process_and_version():
    texts = np.array(["a", None, np.arange(2)], dtype=object)
    assert digest(ROWS, texts) == "1b7cf7dfce141d259d5f30d41657f67f"
    assert digest(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})) == "12ef5922f0db52cf9ea921d242e08434"


def test_a_digest_tells_rows_apart():
    long = np.array([np.arange(2000.0), np.arange(3)], dtype=object)  # its text leaves out its middle
    changed = np.array([np.where(np.arange(2000) == 1000, 0, np.arange(2000.0)), np.arange(3)], dtype=object)
    different = [ROWS, ROWS.T, ROWS.reshape(3, 4), ROWS.astype(np.float32), -ROWS, sp.csr_array(ROWS), long, changed,
                 pd.DataFrame(ROWS), pd.DataFrame(ROWS, columns=list("abc")), np.array(["2020"], dtype="M8[Y]"),
                 {"a": ROWS}, {"b": ROWS}, None]  # fmt: skip
    assert len({digest(value) for value in different}) == len(different)
    assert digest(ROWS) == digest(np.asfortranarray(ROWS)) == digest(torch.tensor(ROWS))
