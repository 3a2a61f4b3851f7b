"""The core: what goes into each member, and what the result says, against independent computations."""

import random
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, RepeatedKFold, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.class_weight import compute_sample_weight

from mlpipeline.dataflow import Input, Pipeline, layers
from mlpipeline.ensemble import (
    Bags,
    Ensemble,
    Folds,
    GroupFolds,
    Metric,
    Observations,
    RepeatedFolds,
    StratifiedFolds,
    TimeSeriesFolds,
)
from mlpipeline.ensemble.observations import as_inputs
from mlpipeline.ensemble.result import assemble, assemble_oof, mean_prediction
from mlpipeline.ensemble.splits import Split
from mlpipeline.ensemble.trainer import Assignment, Fitted
from mlpipeline.errors import EnsembleError

MEASURES, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
ROWS, VALUES = (array[:120] for array in load_diabetes(return_X_y=True))
LOGISTIC = make_pipeline(StandardScaler(), LogisticRegression())


@dataclass(frozen=True)
class Recorder:
    """Predicts the same for every row, and keeps what it was given."""

    seen: list[Assignment] = field(default_factory=list)
    answer: float = 0.5
    outputs: int = 1
    suffix: str = ".json"
    accepts_missing: bool = False
    task: str | None = None

    def fit(self, assignment):
        self.seen.append(assignment)
        return Fitted(assignment.name)

    def predict(self, fitted, X, *, seed=0, is_test=False):  # noqa: N803
        return np.full((len(as_inputs(X)), self.outputs), self.answer)

    def save(self, fitted, path): ...

    def load(self, path): ...


def assignments(y=SPECIES, plan=StratifiedFolds(3), outputs=3, **options):  # noqa: B008
    trainer = Recorder(outputs=outputs)
    inputs = {name: options.pop(name) for name in ("groups", "weights") if name in options}
    Ensemble(trainer, plan, **options).fit(MEASURES, y, **inputs)
    return trainer.seen


# ---- what comes out


def test_out_of_fold_predictions_lie_at_their_rows():
    splitter = StratifiedKFold(5, shuffle=True, random_state=3)
    result = Ensemble(LOGISTIC, splitter).fit(MEASURES, NAMES)
    expected = cross_val_predict(LOGISTIC, MEASURES, NAMES, cv=splitter, method="predict_proba")
    assert np.allclose(result.oof, expected)
    assert result.targets.classes.tolist() == sorted(set(NAMES))


def test_the_plans_fold_as_scikit_learn_does_with_the_same_seed():
    result = Ensemble(Ridge(), Folds(4), seed=7).fit(ROWS, VALUES)
    expected = cross_val_predict(Ridge(), ROWS, VALUES, cv=KFold(4, shuffle=True, random_state=7))
    assert np.allclose(result.oof[:, 0], expected)


def test_repeated_folds_average_the_predictions_of_a_row():
    result = Ensemble(Ridge(), RepeatedFolds(3, 4), seed=1).fit(ROWS, VALUES)
    total = np.zeros(120)
    for train, valid in RepeatedKFold(n_splits=3, n_repeats=4, random_state=1).split(ROWS):
        total[valid] += Ridge().fit(ROWS[train], VALUES[train]).predict(ROWS[valid])
    assert np.allclose(result.oof[:, 0], total / 4)


@pytest.mark.parametrize("plan", [TimeSeriesFolds(4), Bags(2, 0.2)], ids=repr)
def test_rows_that_were_never_predicted_are_nan(plan):
    result = Ensemble(Ridge(), plan).fit(ROWS, VALUES)
    predicted = np.unique(np.concatenate([split.valid for split in result.splits]))
    assert np.array_equal(np.flatnonzero(~np.isnan(result.oof[:, 0])), predicted)
    assert np.array_equal(result.predicted_rows, predicted)
    assert result.oof_scores["mae"] == pytest.approx(np.abs(result.oof[predicted, 0] - VALUES[predicted]).mean())


def test_every_member_predicts_the_test_rows_and_the_result_is_their_mean():
    result = Ensemble(Ridge(), 3).fit(ROWS[:90], VALUES[:90], ROWS[90:])
    alone = [Ridge().fit(ROWS[split.train], VALUES[split.train]).predict(ROWS[90:]) for split in result.splits]
    assert np.allclose(result.test_by_member[:, :, 0], alone)
    assert np.allclose(result.test[:, 0], np.mean(alone, axis=0))
    assert np.allclose(result.predict(ROWS[90:].tolist()), result.test)


def test_validation_predictions_are_not_test_predictions():
    result = Ensemble(Ridge(), 2).fit(ROWS[:90], VALUES[:90], ROWS[:90])
    assert not np.allclose(result.test, result.oof)


def test_scores_are_those_of_each_member_with_their_interval():
    splitter = StratifiedKFold(5, shuffle=True, random_state=3)
    score = Ensemble(LOGISTIC, splitter).fit(MEASURES, NAMES).scores["accuracy"]
    expected = cross_val_score(LOGISTIC, MEASURES, NAMES, cv=splitter)
    assert np.allclose(score.values, expected)
    # Nadeau and Bengio 2003: 30 validation rows for 120 training rows; 2.776 is the quantile of t with 4 degrees
    half = 2.7764451 * np.sqrt((1 / 5 + 30 / 120) * expected.var(ddof=1))
    assert score.interval == pytest.approx((expected.mean() - half, expected.mean() + half))


def test_predictions_that_are_whole_numbers_are_not_cut_off_in_their_mean():
    result = Ensemble(Recorder(answer=np.int64(3), task="values"), Bags(3, 0.5)).fit(ROWS, VALUES)
    assert result.oof.dtype == np.float64
    assert set(result.oof[result.predicted_rows, 0]) == {3.0}


def test_predictions_are_assembled_at_rows_that_come_several_times():
    members = [Split(np.arange(2), np.array([3, 1])), Split(np.arange(2), np.array([1]))]
    oof = assemble_oof(members, [np.array([[1.0], [2.0]], np.float32), np.array([[4.0]], np.float32)], 4)
    assert oof.dtype == np.float32
    np.testing.assert_array_equal(oof[:, 0], [np.nan, 3, np.nan, 1])


def test_a_mean_is_taken_member_by_member():
    assert mean_prediction([np.array([[1.0]]), np.array([[2.0]])]).tolist() == [[1.5]]


def test_what_does_not_fit_together_is_not_assembled():
    with pytest.raises(EnsembleError, match="do not fit together"):
        assemble_oof([Split(np.arange(2), np.arange(2))], [np.zeros((3, 1))], 4)
    result = Ensemble(Ridge(), 3).fit(ROWS, VALUES)
    with pytest.raises(EnsembleError, match="fold1 is missing; 1 of 3 are"):
        assemble(result.work, [result.members[0], result.members[2]])


# ---- what goes in


def test_each_member_gets_its_own_rows_name_and_seed():
    seen = assignments()
    splits = StratifiedFolds(3).split(150, SPECIES)
    assert [each.name for each in seen] == ["fold0", "fold1", "fold2"]
    assert len({each.seed for each in seen}) == 3
    for each, split in zip(seen, splits, strict=True):
        assert np.array_equal(each.train.X, MEASURES[split.train])
        assert np.array_equal(each.valid.y, SPECIES[split.valid])


@pytest.mark.parametrize("y", [NAMES, np.eye(3)[SPECIES]], ids=["labels", "one-hot"])
def test_rows_held_back_for_stopping_come_from_the_training_rows_and_keep_the_shares(y):
    for each, split in zip(assignments(y, stopping_size=0.2), StratifiedFolds(3).split(150, SPECIES), strict=True):
        parts = [part.rows for part in (each.train, each.stopping, each.valid)]
        assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(150))
        assert np.array_equal(np.sort(np.concatenate(parts[:2])), split.train)
        assert np.bincount(each.targets.indices(each.stopping.y)).tolist() in ([7, 7, 6], [6, 7, 7], [7, 6, 7])


def test_rows_held_back_keep_groups_together_and_copies_of_a_row():
    groups = np.arange(150) // 5
    for each in assignments(plan=GroupFolds(3), groups=groups, stopping_size=0.3):
        assert not np.intersect1d(groups[each.train.rows], groups[each.stopping.rows]).size
    twice = np.repeat(np.arange(75), 2)
    (each,) = assignments(plan=[(twice, np.arange(75, 150))], stopping_size=0.3)
    assert not np.intersect1d(each.train.rows, each.stopping.rows).size


def test_a_class_too_rare_to_be_held_back_does_not_hinder():
    y = np.where(np.arange(150) == 0, 0, SPECIES + 1)
    (each,) = assignments(y, [(np.arange(100), np.arange(100, 150))], outputs=4, stopping_size=0.1)
    assert (len(each.train), len(each.stopping)) == (90, 10)


def test_class_weights_and_weights_of_rows_are_multiplied():
    y, weights = NAMES[:120], np.linspace(0, 1, 120)
    trainer = Recorder(outputs=3)
    Ensemble(trainer, Folds(3), class_weight="balanced").fit(MEASURES[:120], y, weights=weights)
    for each in trainer.seen:
        expected = compute_sample_weight("balanced", each.train.y) * weights[each.train.rows]
        assert np.allclose(each.train.weights, expected)


def test_classes_without_a_weight_of_their_own_count_once():
    for y, label in ((NAMES, "virginica"), (np.eye(3)[SPECIES], 2), (SPECIES.astype(float), 2)):
        trainer = Recorder(outputs=3, task="classes")
        Ensemble(trainer, Folds(3), class_weight={label: 5}).fit(MEASURES, y)
        for each in trainer.seen:
            assert np.array_equal(each.train.weights, np.where(SPECIES[each.train.rows] == 2, 5, 1))


def test_weights_change_what_is_learnt():
    plain, weighted = (Ensemble(LOGISTIC, 3, class_weight=w).fit(MEASURES, SPECIES).oof for w in (None, {2: 50}))
    assert weighted[:, 2].mean() > plain[:, 2].mean() + 0.05


def test_preprocessing_is_fitted_on_the_training_rows_of_each_member_alone():
    result = Ensemble(Ridge(), 3, preprocessing=StandardScaler(), stopping_size=0.2).fit(ROWS, VALUES, ROWS)
    for member in result.members:
        trained = result.splits.members[member.number].train
        assert np.allclose(member.preparation.transformer.mean_, ROWS[trained].mean(axis=0))  # nothing is held back
    scaled = make_pipeline(StandardScaler(), Ridge())
    without = Ensemble(Ridge(), 3, preprocessing=StandardScaler()).fit(ROWS, VALUES, ROWS)
    expected = Ensemble(scaled, 3).fit(ROWS, VALUES, ROWS)
    assert np.allclose(without.oof, expected.oof)
    assert np.allclose(without.test, expected.test)
    assert np.allclose(without.predict(ROWS), expected.test)


def test_missing_numbers_are_fine_where_preprocessing_fills_them():
    holes = np.where(MEASURES > 6, np.nan, MEASURES)
    result = Ensemble(LogisticRegression(max_iter=500), 3, preprocessing=SimpleImputer()).fit(holes, SPECIES, holes[:9])
    assert np.isfinite(result.test).all()
    unfilled = Ensemble(LogisticRegression(), 3, preprocessing=StandardScaler())
    with pytest.raises(EnsembleError, match="fold0: X after preprocessing has"):
        unfilled.fit(holes, SPECIES)


def test_what_was_given_and_the_state_of_random_generators_stay_as_they_were():
    arrays = {"X": MEASURES.copy(), "y": SPECIES.copy(), "test": MEASURES[:9].copy(), "weights": np.ones(150)}
    before = np.random.get_state()[1].copy(), random.getstate()
    ensemble = Ensemble(
        DecisionTreeClassifier(max_features=1),
        Bags(3),
        preprocessing=make_pipeline(StandardScaler(copy=False), PCA(2, svd_solver="randomized")),
        stopping_size=0.2,
        class_weight="balanced",
    )
    ensemble.fit(arrays["X"], arrays["y"], arrays["test"], weights=arrays["weights"])
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(arrays["X"], MEASURES)
    assert np.array_equal(arrays["y"], SPECIES)
    assert np.array_equal(arrays["test"], MEASURES[:9])
    assert (arrays["weights"] == 1).all()


def test_the_same_seed_gives_the_same_numbers_and_none_gives_others():
    tree = DecisionTreeClassifier(max_features=1)
    first, again = (Ensemble(tree, 3, seed=5).fit(MEASURES, SPECIES) for _ in range(2))
    free = [Ensemble(tree, 3, seed=None).fit(MEASURES, SPECIES).splits.seed for _ in range(2)]
    assert np.array_equal(first.oof, again.oof)
    assert free[0] != free[1]


def test_observations_bring_ids_groups_and_weights():
    observations = Observations(MEASURES, NAMES, ids=[f"flower {i}" for i in range(150)], groups=np.arange(150) // 5)
    result = Ensemble(LOGISTIC, GroupFolds(3)).run(observations)
    assert result.work.observations.ids[3] == "flower 3"
    assert len(result.splits) == 3


def test_arrays_by_name_are_prepared_and_predicted_together():
    inputs = [Input("left", (1,)), Input("right", (3,))]
    joined = Pipeline(inputs, layers.Concatenate()(inputs, "joined"), name="joined")
    named = {"left": MEASURES[:, :1], "right": MEASURES[:, 1:]}
    result = Ensemble(LOGISTIC, StratifiedFolds(3), preprocessing=joined).fit(named, NAMES, named)
    assert np.allclose(result.oof, Ensemble(LOGISTIC, StratifiedFolds(3)).fit(MEASURES, NAMES).oof)


# ---- what is refused


def refused(message, X=MEASURES, y=SPECIES, X_test=None, trainer=LOGISTIC, plan=3, inputs=None, **options):  # noqa: N803
    with pytest.raises(EnsembleError, match=message):
        Ensemble(trainer, plan, **options).fit(X, y, X_test, **(inputs or {}))


def test_rows_and_labels_of_different_length_are_refused():
    refused("X has 150 rows, but y has 149", y=SPECIES[1:])
    refused("X has 150 rows, but groups has 2", inputs={"groups": [1, 2]})
    refused("X has 150 rows, but weights has one value", inputs={"weights": 1.0})
    refused(
        r"weights must be \[n\], one for each row, but has the shape \(150, 2\)", inputs={"weights": np.ones((150, 2))}
    )


def test_what_is_missing_or_infinite_is_refused():
    refused(
        "X has 1 values that are missing or infinite, the first in row 0, column 0",
        np.vstack([[[np.nan] * 1 + [1] * 3], MEASURES[1:]]),
    )
    refused("X_test has 4 values", X_test=np.full((1, 4), np.inf))
    refused("y is missing or infinite in 1 rows", y=pd.Series([None, *NAMES[1:]]))


def test_a_class_with_fewer_members_than_folds_is_refused():
    refused("class 0 has 2; use fewer folds", y=np.where(np.arange(150) < 2, "rare", NAMES), plan=StratifiedFolds(3))


@pytest.mark.parametrize("weights", [np.full(150, -1.0), np.full(150, np.nan), np.zeros(150), ["heavy"] * 150])
def test_weights_that_are_none_are_refused(weights):
    refused("weights must be finite numbers, none below 0, and not all 0", inputs={"weights": weights})


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("even", 'must be "balanced" or weights by label'),
        ({"rose": 2}, "'rose', which is none of the classes"),
        ({0: -1}, "must be a number from 0 on, but is -1"),
        ({0: "2"}, "must be a number from 0 on"),
    ],
)
def test_class_weights_that_are_none_are_refused(class_weight, message):
    refused(message, class_weight=class_weight)


def test_class_weights_of_values_are_refused():
    refused("class_weight needs classes", ROWS, VALUES, trainer=Ridge(), class_weight="balanced")


def test_test_rows_of_another_shape_are_refused_before_anything_is_trained():
    trainer = Recorder(outputs=3)
    refused(r"rows of X have the shape \(4,\), but rows of X_test \(3,\)", X_test=MEASURES[:, :3], trainer=trainer)
    refused("both be arrays by name", X_test={"left": MEASURES}, trainer=trainer)
    refused(r"\['a'\], but X_test has \['b'\]", {"a": MEASURES}, X_test={"b": MEASURES}, trainer=trainer)
    assert trainer.seen == []
    result = Ensemble(LOGISTIC, 2).fit(MEASURES, SPECIES)
    with pytest.raises(EnsembleError, match="rows of X have the shape"):
        result.predict(MEASURES[:, :3])


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", True])
def test_a_seed_that_is_none_is_refused(seed):
    refused("seed must be a whole number from 0", seed=seed)


@pytest.mark.parametrize("workers", [0, "2", True])
def test_workers_that_are_no_number_of_processes_are_refused(workers):
    refused("workers must be a whole number from 1", workers=workers)


def test_resuming_needs_a_name():
    refused("resume=True needs run_save_name", resume=True)


def test_a_result_is_readable_at_a_prompt():
    result = Ensemble(LOGISTIC, 3).fit(MEASURES, SPECIES)
    assert repr(result).startswith("EnsembleResult(3 members of Folds(")
    assert repr(result.members[0]).startswith("Member(fold0: accuracy 0.")
    assert list(result.histories) == ["fold0", "fold1", "fold2"]


def test_all_at_once_is_not_promised_in_silence(caplog):
    Ensemble(LOGISTIC, 3, together=True).fit(MEASURES, SPECIES)
    assert "SklearnTrainer trains members one after the other" in caplog.text


@pytest.mark.parametrize("size", [1, -0.1, "a"])
def test_a_share_that_is_none_is_refused(size):
    refused("stopping_size must be a share", stopping_size=size)


def test_stopping_rows_that_cannot_be_held_back_are_refused():
    with pytest.raises(EnsembleError, match=r"stopping_size=0.5 cannot hold back some of 1 rows"):
        Ensemble(Recorder(), 2, stopping_size=0.5).fit(MEASURES[:2], NAMES[49:51])


def test_a_task_that_the_trainer_does_not_have_is_refused():
    refused("task is 'values', but the trainer predicts classes", task="values")


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        (Recorder(outputs=2), "there are 3 classes, but the model has 2 outputs; its last layer needs 3"),
        (Recorder(outputs=3, answer=np.nan), "not finite: training diverged"),
    ],
)
def test_predictions_that_cannot_be_are_refused(trainer, message):
    refused(message, trainer=trainer)


def test_what_a_model_raises_arrives_with_the_name_of_the_member():
    one_class = [(np.arange(0, 100, 2), [1]), (np.flatnonzero(SPECIES == 1), [1])]
    with pytest.raises(ValueError, match="at least 2 classes") as raised:
        Ensemble(LogisticRegression(max_iter=500), one_class).fit(MEASURES, SPECIES)
    assert raised.value.__notes__ == ["while bag1 was trained or predicted"]


def test_values_with_too_few_outputs_are_refused():
    refused(
        r"y has the shape \(40, 2\), but the predictions \(40, 1\)",
        ROWS,
        np.column_stack([VALUES] * 2),
        trainer=Recorder(),
    )


def test_a_metric_of_ones_own_may_be_better_when_it_is_smaller():
    brier = Metric("brier", lambda y, p: float(((np.eye(3)[y] - p) ** 2).sum(axis=1).mean()), False, is_own=True)
    result = Ensemble(LOGISTIC, 3, metrics=["accuracy", brier]).fit(MEASURES, SPECIES)
    assert result.oof_scores["brier"] == pytest.approx(((np.eye(3)[SPECIES] - result.oof) ** 2).sum(axis=1).mean())
    assert replace(result.work.metrics["brier"]).is_better(0.1, 0.2)


FRAME = pd.DataFrame(MEASURES, columns=list("abcd"))


def test_columns_in_another_order_are_refused():
    result = Ensemble(LOGISTIC, 3).fit(FRAME, SPECIES)
    with pytest.raises(EnsembleError, match=r"the columns of X in another order; give X_test\[X\.columns\]"):
        result.predict(FRAME[list("dabc")])
    refused("the columns of X in another order", FRAME, X_test=FRAME[list("bacd")])


def test_targets_with_the_index_in_another_order_are_refused():
    y = pd.Series(SPECIES)
    refused(r"y\.loc\[X\.index\]", FRAME, y.iloc[::-1])
    refused(r"weights\.loc\[X\.index\]", FRAME, y, inputs={"weights": pd.Series(np.ones(150)).iloc[::-1]})
    assert Ensemble(LOGISTIC, 3).fit(FRAME.iloc[:90], y.iloc[60:]).oof.shape == (90, 2)  # other labels: as they come


def test_two_metrics_of_one_name_are_refused():
    refused("two metrics have one name: <lambda>, <lambda>", metrics=[lambda y, p: 0.0, lambda y, p: 1.0])
