"""Stacks against levels that are put together by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mlpipeline.ensemble import Bags, Ensemble, StratifiedFolds, TimeSeriesFolds, stack
from mlpipeline.errors import EnsembleError

MEASURES, SPECIES = load_iris(return_X_y=True)
ORDER = np.random.default_rng(0).permutation(150)
MEASURES, SPECIES = MEASURES[ORDER], SPECIES[ORDER]
TRAIN, TEST = slice(0, 120), slice(120, 150)
NEAR, FLAT, TOP = KNeighborsClassifier(5), DecisionTreeClassifier(max_depth=1), LogisticRegression()
LEVELS = [{"near": NEAR, "flat": FLAT}, {"top": TOP}]


@pytest.fixture(scope="module")
def stacked():
    return stack(LEVELS, StratifiedFolds(4), seed=3).fit(MEASURES[TRAIN], SPECIES[TRAIN], MEASURES[TEST])


def by_hand(splitter):
    """Two levels of cross_val_predict, and the mean test predictions of the models of each fold."""
    rows, y, test = MEASURES[TRAIN], SPECIES[TRAIN], MEASURES[TEST]
    pairs = list(splitter.split(rows, y))
    flat = DecisionTreeClassifier(max_depth=1, random_state=0)
    oof = np.hstack([cross_val_predict(one, rows, y, cv=pairs, method="predict_proba") for one in (NEAR, flat)])
    tests = np.hstack([
        np.mean([one.fit(rows[train], y[train]).predict_proba(test) for train, _ in pairs], axis=0)
        for one in (KNeighborsClassifier(5), flat)
    ])  # fmt: skip
    second = cross_val_predict(TOP, oof, y, cv=pairs, method="predict_proba")
    top = [LogisticRegression().fit(oof[train], y[train]).predict_proba(tests) for train, _ in pairs]
    return second, np.mean(top, axis=0)


def test_a_second_level_is_trained_on_the_out_of_fold_predictions_of_the_first(stacked):
    oof, test = by_hand(StratifiedKFold(4, shuffle=True, random_state=3))
    assert np.allclose(stacked.oof, oof)
    assert np.allclose(stacked.test, test)


def test_all_levels_have_the_same_splits(stacked):
    digests = {result.splits.digest for level in stacked.levels for result in level.results.values()}
    assert digests == {StratifiedFolds(4).split(120, SPECIES[TRAIN], seed=3).digest}


def test_rows_are_predicted_through_all_levels(stacked):
    assert np.allclose(stacked.predict(MEASURES[TEST].tolist()), stacked.test)


def test_each_level_has_its_models_scores_and_predictions(stacked):
    first, second = stacked.levels
    assert (set(first.scores), set(second.scores)) == ({"near", "flat"}, {"top"})
    assert second.scores["top"]["accuracy"].mean > first.scores["flat"]["accuracy"].mean
    assert first.oof["near"].shape == (120, 3)
    assert first.test["flat"].shape == (30, 3)


def test_models_of_equal_kind_draw_with_seeds_of_their_own():
    tree = DecisionTreeClassifier(max_features=1)
    (level,) = stack([{"a": tree, "b": tree}], 3).fit(MEASURES, SPECIES).levels
    assert not np.array_equal(level.oof["a"], level.oof["b"])


def test_of_two_classes_one_column_goes_up():
    y = SPECIES > 0
    first, second = stack(LEVELS, StratifiedFolds(3)).fit(MEASURES, y).levels
    expected = np.column_stack([first.oof["near"][:, 1], first.oof["flat"][:, 1]])
    assert np.array_equal(second.results["top"].work.observations.X, expected)


def test_values_are_stacked():
    rows, y = load_diabetes(return_X_y=True)
    result = stack([{"near": KNeighborsRegressor(9), "line": Ridge()}, {"top": Ridge()}], 3).fit(rows, y, rows[:5])
    best = min(scores["rmse"].mean for scores in result.levels[0].scores.values())
    assert result.levels[1].scores["top"]["rmse"].mean < best
    assert result.test.shape == (5, 1)


def test_several_models_of_the_last_level_have_their_mean_as_the_last_word():
    result = stack([{"near": NEAR}, {"top": TOP, "flat": FLAT}], 3).fit(MEASURES, SPECIES, MEASURES[:7])
    last = result.levels[-1]
    assert np.allclose(result.oof, (last.oof["top"] + last.oof["flat"]) / 2)
    assert np.allclose(result.predict(MEASURES[:7]), result.test)


def test_rows_that_were_never_predicted_are_left_out_above():
    result = stack([*LEVELS, {"end": TOP}], TimeSeriesFolds(4)).fit(MEASURES, SPECIES)
    second = result.levels[1]
    assert [len(level.rows) for level in result.levels] == [150, 120, 90]
    assert [len(result.splits) for level in result.levels for result in level.results.values()] == [4, 4, 3, 2]
    assert second.rows.tolist() == list(range(30, 150))
    assert np.isnan(second.oof["top"][:60]).all()
    assert not np.isnan(second.oof["top"][60:]).any()
    split = second.results["top"].splits.members[0]
    assert second.rows[split.train].tolist() == list(range(30, 60))
    assert second.rows[split.valid].tolist() == list(range(60, 90))


def test_levels_above_train_and_judge_by_rows_that_a_bag_has_predicted():
    result = stack(LEVELS, Bags(4, 0.3)).fit(MEASURES, SPECIES)
    first, second = result.levels
    assert np.array_equal(second.rows, first.results["near"].predicted_rows)
    bags = [split.valid for split in first.results["near"].splits]
    assert [second.rows[split.valid].tolist() for split in second.results["top"].splits] == [b.tolist() for b in bags]


def test_a_plan_that_leaves_the_second_level_nothing_is_refused():
    with pytest.raises(
        EnsembleError, match="leaves level 2 no rows to train on: the level below has predicted 30 of 150"
    ):
        stack(LEVELS, Bags(1)).fit(MEASURES, SPECIES)


def test_prepared_rows_stand_beside_the_predictions_where_they_are_passed_through():
    frame = pd.DataFrame({"length": MEASURES[:, 2], "width": np.where(MEASURES[:, 3] > 1, "wide", "narrow")})
    encoder = OneHotEncoder(handle_unknown="ignore", max_categories=9)
    result = stack(LEVELS, 3, passthrough=True, preprocessing=encoder).fit(frame, SPECIES, frame[:4])
    member = result.levels[1].results["top"].members[0]
    encoded = member.preparation.transformer._preparation.transformer.get_feature_names_out()
    assert member.model.n_features_in_ == len(encoded) + 6
    assert np.allclose(result.predict(frame[:4]), result.test)


def test_rows_are_passed_through_as_they_are_without_preprocessing():
    result = stack(LEVELS, 3, passthrough=True).fit(MEASURES, SPECIES)
    first, second = result.levels
    rows = np.hstack([MEASURES, first.oof["near"], first.oof["flat"]])
    alone = Ensemble(TOP, second.results["top"].splits).fit(rows, SPECIES)
    assert np.allclose(result.oof, alone.oof)


def test_options_weights_and_groups_reach_every_level():
    weights = np.linspace(1, 2, 150)
    levels = [{"flat": FLAT}, {"top": TOP}]
    plain = stack(levels, TimeSeriesFolds(4)).fit(MEASURES, SPECIES)
    made = stack(levels, TimeSeriesFolds(4), class_weight={2: 9}, metrics="f1").fit(MEASURES, SPECIES, weights=weights)
    work = made.levels[1].results["top"].work
    assert work.class_weight == {2: 9}
    assert list(work.metrics) == ["f1"]
    assert np.array_equal(work.observations.weights, weights[30:])
    assert np.nanmean(made.oof[:, 2]) > np.nanmean(plain.oof[:, 2])


def test_preprocessing_is_for_the_rows_alone():
    result = stack(LEVELS, 3, preprocessing=StandardScaler()).fit(MEASURES, SPECIES)
    assert result.levels[0].results["near"].members[0].preparation is not None
    assert result.levels[1].results["top"].members[0].preparation is None


def test_every_model_of_every_level_keeps_files_of_its_own(tmp_path):
    options = {"run_save_name": "iris", "src_dir": tmp_path, "save_history": False, "save_statistics": False}
    made = stack(LEVELS, 2, passthrough=True, **options).fit(MEASURES, SPECIES)
    again = stack(LEVELS, 2, passthrough=True, resume=True, **options).fit(MEASURES, SPECIES)
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert {"iris_level1_near", "iris_level1_flat", "iris_level2_top"} <= names
    assert np.array_equal(again.oof, made.oof)
    with pytest.raises(EnsembleError, match="'iris_level1_near' exists"):
        stack(LEVELS, 2, **options).fit(MEASURES, SPECIES)


@pytest.mark.parametrize(
    ("levels", "options", "message"),
    [
        ([], {}, "levels must be a list of models by name"),
        ({"near": NEAR}, {}, "levels must be a list of models by name"),
        ([{"near": NEAR}, {}], {}, "level 2 must hold models by name"),
        ([[NEAR]], {}, "level 1 must hold models by name"),
        ([{"near": NEAR}, {"top": "logistic"}], {}, "trainer must be"),
        (LEVELS, {"metric": "f1"}, "metric is no option of a stack; did you mean metrics"),
        (LEVELS, {"trainer": NEAR}, "trainer is no option"),
    ],
)
def test_what_is_no_stack_is_refused_before_anything_is_trained(levels, options, message):
    with pytest.raises(EnsembleError, match=message):
        stack(levels, 3, **options)


def test_rows_that_are_no_table_are_not_passed_through():
    names = {"left": MEASURES, "right": MEASURES}
    texts = pd.DataFrame({"a": ["x", "y"] * 75})
    for rows, message in ((names, "a table of numbers"), (texts, "rows that are numbers")):
        level = {"first": _Constant()}
        with pytest.raises(EnsembleError, match=message):
            stack([level, level], 3, passthrough=True).fit(rows, SPECIES)


class _Constant:
    suffix, accepts_missing, task = ".json", True, "classes"

    def fit(self, assignment):
        from mlpipeline.ensemble.trainer import Fitted

        return Fitted(None)

    def predict(self, fitted, X, *, seed=0, is_test=False):  # noqa: N803
        rows = X["left"] if isinstance(X, dict) else X
        return np.full((len(rows), 3), 1 / 3)

    def save(self, fitted, path): ...

    def load(self, path): ...
