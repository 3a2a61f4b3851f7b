"""Scores against scikit-learn's, and the interval against its formula."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from mlpipeline.ensemble import Metric
from mlpipeline.ensemble.scores import read_metric, read_metrics, summarize
from mlpipeline.ensemble.targets import read_targets
from mlpipeline.errors import EnsembleError

RANDOM = np.random.default_rng(0)
LABELS = np.array(["a", "b", "c"])[RANDOM.integers(0, 3, 60)]
SHARES = RANDOM.dirichlet(np.ones(3), 60)
VALUES, GUESSES = RANDOM.normal(size=(2, 60, 2))


def score(name, y, predictions):
    y, targets = read_targets(y, None)
    return read_metric(name, targets)(targets, y, predictions)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", sk.accuracy_score(LABELS, np.array(["a", "b", "c"])[SHARES.argmax(axis=1)])),
        ("log_loss", sk.log_loss(LABELS, SHARES)),
        ("roc_auc", sk.roc_auc_score(LABELS, SHARES, multi_class="ovr")),
        ("f1", sk.f1_score(LABELS, np.array(["a", "b", "c"])[SHARES.argmax(axis=1)], average="macro")),
    ],
)
def test_scores_of_classes_are_those_of_scikit_learn(name, expected):
    assert score(name, LABELS, SHARES) == pytest.approx(expected)
    one_hot = (LABELS[:, None] == np.array(["a", "b", "c"])).astype(int)
    assert score(name, one_hot, SHARES) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rmse", math.sqrt(sk.mean_squared_error(VALUES, GUESSES))),
        ("mae", sk.mean_absolute_error(VALUES, GUESSES)),
        ("r2", sk.r2_score(VALUES, GUESSES, multioutput="variance_weighted")),
    ],
)
def test_scores_of_values_are_those_of_scikit_learn(name, expected):
    assert score(name, VALUES, GUESSES) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "roc_auc", "f1"])
def test_two_classes_score_the_same_in_one_column_and_in_two(name):
    y, second = LABELS == "a", SHARES[:, :1]
    assert score(name, y, second) == pytest.approx(score(name, y, np.hstack([1 - second, second])))


def test_the_area_under_the_curve_of_one_class_is_no_number():
    _, targets = read_targets(LABELS, None)
    assert math.isnan(read_metric("roc_auc", targets)(targets, LABELS[LABELS == "a"], SHARES[LABELS == "a"]))


def test_a_function_is_given_y_and_predictions_as_they_are():
    seen = []
    _, targets = read_targets(LABELS, None)
    metric = read_metrics(lambda y, predictions: seen.append((y, predictions)) or 0.5, targets)["<lambda>"]
    assert metric(targets, LABELS, SHARES) == 0.5
    assert seen[0][0] is LABELS
    assert seen[0][1] is SHARES


def test_metrics_are_read_from_names_functions_and_mappings():
    _, targets = read_targets(LABELS, None)
    brier = Metric("brier", lambda y, p: 0.0, greater_is_better=False, is_own=True)
    assert list(read_metrics(None, targets)) == ["accuracy", "log_loss"]
    assert list(read_metrics(["f1", brier], targets)) == ["f1", "brier"]
    assert list(read_metrics({"mine": "f1"}, targets)) == ["mine"]
    assert brier.is_better(0.1, 0.2)


@pytest.mark.parametrize("metrics", ["acuracy", "rmse", 3, [["f1"]]])
def test_a_metric_that_is_none_is_refused(metrics):
    _, targets = read_targets(LABELS, None)
    with pytest.raises(EnsembleError, match="the metric for classes must be one of accuracy, log_loss"):
        read_metrics(metrics, targets)


def test_predictions_of_another_shape_are_not_stretched_over_the_values():
    with pytest.raises(EnsembleError, match=r"\(60, 2\), but the predictions \(60, 1\)"):
        score("rmse", VALUES, GUESSES[:, :1])


def test_the_interval_is_that_of_nadeau_and_bengio():
    values, share = [0.8, 0.9, 0.85, 0.95, 0.7], 0.25
    summary = summarize(values, share)
    # corrected resampled t-test: the variance of the mean is (1/k + n_valid/n_train) s^2
    half = stats.t(4).ppf(0.975) * math.sqrt((1 / 5 + share) * np.var(values, ddof=1))
    assert (summary.mean, summary.deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert summary.interval == pytest.approx((np.mean(values) - half, np.mean(values) + half))


def test_one_member_has_no_interval():
    summary = summarize([0.5], 0.2)
    assert summary.mean == 0.5
    assert all(map(math.isnan, (summary.deviation, *summary.interval)))
