"""Blended predictions against independent searches for weights."""

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from mlpipeline.ensemble import blend, weights
from mlpipeline.ensemble.scores import CLASS_METRICS, VALUE_METRICS
from mlpipeline.ensemble.targets import read_targets
from mlpipeline.ensemble.weights import Material, _scorer, weighted_mean
from mlpipeline.errors import EnsembleError

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, 200)
NOISY = {f"m{i}": RANDOM.dirichlet(np.ones(3), 200) + (0.4 + i / 20) * np.eye(3)[LABELS] for i in range(4)}
SHARES = {name: part / part.sum(axis=1, keepdims=True) for name, part in NOISY.items()}
VALUES = RANDOM.normal(size=150)
GUESSES = {f"m{i}": VALUES + RANDOM.normal(0.2 * i, 1 + i / 4, 150) for i in range(4)}


def material(metric, values=False):
    y, targets = read_targets(VALUES if values else LABELS, None)
    parts = np.stack([part.reshape(len(y), -1) for part in (GUESSES if values else SHARES).values()])
    known = VALUE_METRICS if values else CLASS_METRICS
    return Material(parts, y, targets, known[metric])


@pytest.mark.parametrize(
    ("name", "values"), [*((n, False) for n in CLASS_METRICS), *((n, True) for n in VALUE_METRICS)]
)
@pytest.mark.parametrize("columns", [3, 2])
def test_scores_of_many_blends_at_once_are_the_scores_of_each(name, values, columns):
    given = material(name, values)
    if columns == 2 and not values:
        y = np.minimum(given.y, 1)
        given = Material(given.parts[..., :2], y, read_targets(y, None)[1], given.metric)
    reduced, score = _scorer(given)
    drawn = RANDOM.dirichlet(np.ones(4), 5)
    expected = [given.metric(given.targets, given.y, weighted_mean(given.parts, each)) for each in drawn]
    sign = 1 if given.metric.greater_is_better else -1
    assert np.allclose(score(np.stack([weighted_mean(reduced, each) for each in drawn])), sign * np.array(expected))


def climbed(parts, y, steps):
    """Caruana's forward selection with replacement from the best few models on, by scikit-learn's log loss."""
    order = sorted(parts, key=lambda name: log_loss(y, parts[name]))
    sizes = [log_loss(y, np.mean([parts[name] for name in order[: size + 1]], axis=0)) for size in range(len(order))]
    taken = order[: int(np.argmin(sizes)) + 1]
    best, kept = min(sizes), list(taken)
    for _ in range(steps):
        tried = {name: log_loss(y, np.mean([parts[each] for each in [*taken, name]], axis=0)) for name in parts}
        taken.append(min(tried, key=tried.get))
        if tried[taken[-1]] < best * (1 - 1e-6):
            best, kept = tried[taken[-1]], list(taken)
    return {name: kept.count(name) / len(kept) for name in parts}, kept


def test_hill_climbing_takes_in_what_an_independent_search_takes():
    made = blend(SHARES, LABELS, "log_loss", steps=8)
    expected, taken = climbed(SHARES, LABELS, 8)
    assert made.weights == pytest.approx(expected)
    assert [name for name, _ in made.history] == taken
    assert made.history[-1][1] == pytest.approx(made.score)


@pytest.mark.parametrize(
    "metric", [*CLASS_METRICS, pytest.param(lambda y, p: float((p.argmax(axis=1) == y).mean()), id="function")]
)
@pytest.mark.parametrize("bags", [0, 4])
def test_hill_climbing_is_never_worse_than_the_best_model(metric, bags):
    made = blend(SHARES, LABELS, metric, bags=bags, steps=4)
    best = min if made.metric == "log_loss" else max
    assert best(made.score, *made.scores.values()) == made.score
    assert sum(made.weights.values()) == pytest.approx(1)
    assert min(made.weights.values()) >= 0


def test_a_model_that_only_harms_is_left_out():
    perfect = {"good": np.eye(3)[LABELS], "bad": np.eye(3)[(LABELS + 1) % 3]}
    assert blend(perfect, LABELS, "accuracy").weights == {"good": 1, "bad": 0}


def test_least_squares_weights_are_those_of_scipy_divided_by_their_sum():
    columns = np.column_stack([part.reshape(-1) for part in SHARES.values()])
    found, _ = nnls(columns, np.eye(3)[LABELS].reshape(-1))
    made = blend(SHARES, LABELS, method="least_squares")
    assert list(made.weights.values()) == pytest.approx((found / found.sum()).tolist())
    assert np.allclose(made.oof, np.tensordot(found / found.sum(), list(SHARES.values()), 1))


@pytest.mark.parametrize("method", ["hill_climbing", "least_squares"])
def test_values_are_blended_better_than_each_alone(method):
    made = blend(GUESSES, VALUES, method=method)
    assert made.metric == "rmse"
    assert made.score < min(made.scores.values())
    assert made.score == pytest.approx(np.sqrt(((made.oof[:, 0] - VALUES) ** 2).mean()))


def test_real_models_are_better_together():
    rows, y = (array[:400] for array in load_digits(return_X_y=True))
    models = {
        "linear": LogisticRegression(max_iter=200, C=0.01),
        "near": KNeighborsClassifier(3),
        "tree": DecisionTreeClassifier(random_state=0),
    }
    oof = {name: cross_val_predict(model, rows, y, method="predict_proba", cv=3) for name, model in models.items()}
    made = blend(oof, y)
    assert made.score < min(made.scores.values()) * 0.8
    assert made.score < made.cross_validated_score < min(made.scores.values())
    assert made.score == pytest.approx(log_loss(y, made.oof))


def test_the_cross_validated_score_is_that_of_rows_that_the_weights_have_not_seen():
    y = RANDOM.integers(0, 2, 100)
    noise = {f"m{i}": RANDOM.random(100) for i in range(12)}
    made = blend(noise, y, "roc_auc", steps=12)
    assert made.score > 0.65
    assert made.cross_validated_score < made.score - 0.1


def test_one_column_and_two_columns_of_two_classes_are_brought_together():
    y = LABELS > 0
    second = SHARES["m0"][:, 1:].sum(axis=1)
    made = blend({"one": second, "two": np.column_stack([1 - second, second])}, y, "roc_auc")
    assert made.oof.shape == (200, 2)
    assert made.scores["one"] == made.scores["two"] == pytest.approx(roc_auc_score(y, second))


def test_rows_that_a_model_has_not_predicted_are_left_out_and_counted():
    holes = {**SHARES, "m1": np.where(np.arange(200)[:, None] < 5, np.nan, SHARES["m1"])}
    made = blend(holes, LABELS, steps=3)
    kept = blend({name: part[5:] for name, part in SHARES.items()}, LABELS[5:], steps=3)
    assert made.left_out == 5
    assert np.isnan(made.oof[:5]).all()
    assert (made.weights, made.score) == (kept.weights, kept.score)


def test_other_rows_are_predicted_with_the_same_weights():
    made = blend({"bad": np.eye(3)[(LABELS + 1) % 3], **SHARES}, LABELS, "log_loss")
    assert made.weights["bad"] == 0
    assert np.allclose(made.predict(SHARES), made.oof)
    with pytest.raises(EnsembleError, match="'bat' is not in the blend; did you mean bad"):
        made.predict({**SHARES, "bat": SHARES["m0"]})
    with pytest.raises(EnsembleError, match="'m3' is missing"):
        made.predict({"m2": SHARES["m2"]})


@pytest.mark.parametrize(
    ("predictions", "y", "kind"),
    [
        (SHARES, LABELS.astype(float), "classes"),
        (SHARES, np.eye(3)[LABELS], "classes"),
        (SHARES, np.array(["a", "b", "c"])[LABELS], "classes"),
        ({"m": LABELS + 0.1}, LABELS, "values"),
        ({"m": np.column_stack([VALUES, VALUES])}, np.column_stack([VALUES, VALUES]), "values"),
    ],
)
def test_what_y_says_is_told_by_the_columns_of_the_predictions(predictions, y, kind):
    assert blend(predictions, y, steps=1).kind == kind


def test_text_says_what_was_blended():
    text = str(blend(SHARES, LABELS, steps=2))
    assert text.startswith("log_loss 0.")
    assert "m3 " in text


def test_many_rows_are_climbed_on_a_part_of_them(monkeypatch):
    monkeypatch.setattr(weights, "_ROWS", 100)
    made = blend(GUESSES, VALUES, steps=5)
    monkeypatch.undo()
    assert made.history[-1][1] != made.score  # the score is that of all rows
    assert made.score == pytest.approx(blend(GUESSES, VALUES, steps=5).score, rel=0.05)


@pytest.mark.parametrize(
    ("predictions", "options", "message"),
    [
        ({}, {}, "arrays by name, at least one"),
        ([SHARES["m0"]], {}, "arrays by name"),
        ({**SHARES, "m4": SHARES["m0"][:9]}, {}, r"m4 \(9, 3\)"),
        ({"m": SHARES["m0"][:9]}, {}, r"predictions of the shape \(200, 3\)"),
        ({"m": SHARES["m0"][:, :2]}, {}, r"for its classes \[0, 1, 2\]"),
        ({"m": np.full((200, 3), np.nan)}, {}, "no row has a prediction of each of 'm'"),
        ({"m": np.full((200, 3), np.inf)}, {}, "hold infinite numbers"),
        ({"m": np.full((200, 3), "a")}, {}, "must be numbers"),
        (SHARES, {"method": "climbing"}, "method must be hill_climbing or least_squares"),
        (SHARES, {"metric": "acc"}, "the metric for classes must be one of"),
        (SHARES, {"metric": "rmse"}, "predictions of the shape"),
        (SHARES, {"steps": -1}, "steps must be a whole number"),
        (SHARES, {"metric": lambda y, p: float("nan")}, "gives no number for any of the models"),
        ({"m": -SHARES["m0"]}, {"method": "least_squares"}, "every model the weight 0"),
    ],
)
def test_what_cannot_be_blended_is_refused(predictions, options, message):
    with pytest.raises(EnsembleError, match=message):
        blend(predictions, LABELS, **options)
