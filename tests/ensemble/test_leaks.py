"""Leaks that were put into data on purpose are found, and none where there are none."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from mlpipeline.ensemble import Ensemble, Folds, GroupFolds, StratifiedFolds, leak_report, row_codes
from mlpipeline.errors import EnsembleError

MEASURES, SPECIES = load_iris(return_X_y=True)  # rows 101 and 142 are equal
NOISE = np.random.default_rng(0).normal(1, 2, size=(60, 3))
SPLITS = Folds(3).split(60)


def with_twins(rows, first=4, second=55):
    changed = rows.copy()
    changed[second] = changed[first]
    return changed


def splits_of(valid):
    return [(np.setdiff1d(np.arange(60), valid), np.array(valid))]


def test_nothing_is_found_in_independent_rows():
    report = leak_report(NOISE, NOISE[:, 0] > 0, SPLITS, preprocessing=StandardScaler())
    assert not report
    assert str(report) == "no leaks were found"


@pytest.mark.parametrize(
    "kind",
    [np.asarray, np.float32, pd.DataFrame, sp.coo_array, lambda rows: {"a": rows[:, :1], "b": rows[:, 1:]},
     lambda rows: np.repeat(rows[:, None, :], 8, axis=1), lambda rows: rows.astype(object)],
    ids=["array", "float32", "frame", "sparse", "names", "images", "objects"],
)  # fmt: skip
def test_equal_rows_on_both_sides_are_found_in_rows_of_every_kind(kind):
    (leak,) = leak_report(kind(with_twins(NOISE)), None, splits_of([3, 4]))
    assert (leak.kind, leak.member, leak.rows.tolist()) == ("duplicate", "fold0", [4])
    assert "4 = 55 (1 in all)" in str(leak)


def test_equal_rows_on_one_side_are_no_leak():
    assert not leak_report(with_twins(NOISE), None, splits_of([4, 55]))


def test_it_is_said_which_equal_rows_have_an_equal_y():
    rows = with_twins(with_twins(NOISE), 6, 50)
    y = np.arange(60)
    y[55] = y[4]
    assert "2 in all, 1 with an equal y too" in str(leak_report(rows, y, splits_of([4, 6])))


def test_zero_equals_minus_zero():
    assert row_codes(np.array([[0.0, 1], [-0.0, 1], [1, 0]])).tolist() in ([0, 0, 1], [1, 1, 0])


def test_codes_of_rows_are_groups_that_keep_equal_rows_together():
    codes = row_codes(MEASURES)
    assert len(np.unique(codes)) == len(np.unique(MEASURES, axis=0)) == 149
    assert leak_report(MEASURES, SPECIES, StratifiedFolds(5).split(150, SPECIES))
    assert not leak_report(MEASURES, SPECIES, GroupFolds(5).split(150, groups=codes), groups=codes)


def test_the_same_row_on_both_sides_is_found():
    (leak,) = leak_report(NOISE, None, [([1, 2, 3], [3, 4])])
    assert (leak.kind, leak.rows.tolist()) == ("same row", [3])


def test_groups_on_both_sides_are_found():
    patients = np.array([f"patient {i // 20}" for i in range(60)])
    (leak,) = leak_report(NOISE, None, splits_of([0, 1, 20, 21]), groups=patients)
    assert (leak.kind, leak.rows.tolist()) == ("group", [0, 1, 20, 21])
    assert "patient 0, patient 1 (2 in all)" in str(leak)
    assert not leak_report(NOISE, None, GroupFolds(3).split(60, groups=patients), groups=patients)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (StandardScaler().fit_transform(MEASURES), "mean 0 and deviation 1 over all rows in 4 columns"),
        (StandardScaler().fit_transform(MEASURES.astype(np.float32)), "mean 0 and deviation 1"),
        ((MEASURES - MEASURES.mean(0)) / MEASURES.std(0, ddof=1), "mean 0 and deviation 1"),
        (PCA(2).fit_transform(MEASURES), "mean 0 over all rows in 2 columns"),
        (MinMaxScaler().fit_transform(MEASURES), "range from 0 to 1 in each of 4 columns"),
        (pd.DataFrame({"size": StandardScaler().fit_transform(MEASURES)[:, 0], "name": "x"}), r"1 columns \(size\)"),
        ({"a": StandardScaler().fit_transform(MEASURES), "b": MEASURES}, r"X\['a'\] has mean 0"),
    ],
    ids=["standard", "float32", "sample", "pca", "range", "frame", "names"],
)  # fmt: skip
def test_columns_that_were_scaled_over_all_rows_are_found(rows, text):
    leaks = [leak for leak in leak_report(rows, None, Folds(3).split(150)) if leak.kind == "preprocessing"]
    assert len(leaks) == 1
    assert leaks[0].member is None
    assert re.search(text, str(leaks[0]))


@pytest.mark.parametrize(
    "rows",
    [
        MEASURES,
        load_digits().data / 16,
        np.vstack([[0, 0], [255, 255], np.arange(58 * 2).reshape(58, 2)]) / 255,
        np.tile([[-1.0, 1], [1, -1]], (30, 1)),
        np.tile(StandardScaler().fit_transform(MEASURES)[:30], (2, 1)),
        (MEASURES * 10).astype(int),
    ],
    ids=["raw", "digits", "bytes", "codes", "some", "whole"],
)
def test_columns_that_were_not_scaled_are_left_alone(rows):
    leaks = leak_report(rows, None, [(np.arange(5, 10), np.arange(5))])
    assert [leak for leak in leaks if leak.kind == "preprocessing"] == []


def test_preprocessing_that_is_fitted_already_is_found():
    for fitted in (StandardScaler().fit(NOISE), make_pipeline(StandardScaler(), PCA(1)).fit(NOISE)):
        (leak,) = leak_report(NOISE, None, SPLITS, preprocessing=fitted)
        assert "preprocessing is fitted already" in str(leak)
    for unfitted in (StandardScaler(), FunctionTransformer(), make_pipeline(FunctionTransformer())):
        assert not leak_report(NOISE, None, SPLITS, preprocessing=unfitted)


def test_a_result_reports_its_own_leaks():
    rows = StandardScaler().fit_transform(MEASURES)
    report = Ensemble(LogisticRegression(), StratifiedFolds(5)).fit(rows, SPECIES, groups=np.arange(150) // 2).leaks()
    assert {leak.kind for leak in report} == {"duplicate", "group", "preprocessing"}


def test_what_has_another_number_of_rows_is_refused():
    with pytest.raises(EnsembleError, match="X has 59 rows, but the splits were computed for 60"):
        leak_report(NOISE[1:], None, SPLITS)
    with pytest.raises(EnsembleError, match="X has 60 rows, but y has 2"):
        leak_report(NOISE, [1, 2], SPLITS)
