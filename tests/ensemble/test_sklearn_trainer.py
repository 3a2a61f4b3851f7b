"""scikit-learn estimators as members, against what they do by themselves."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mlpipeline.ensemble import Ensemble, Folds, SklearnTrainer, StratifiedFolds
from mlpipeline.ensemble.trainer import Fitted
from mlpipeline.errors import EnsembleError

MEASURES, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
WEIGHTS = np.linspace(0.1, 5, 150)


def logistic():
    return make_pipeline(StandardScaler(), LogisticRegression())


def test_a_class_that_a_member_has_not_seen_has_the_probability_0():
    without = np.flatnonzero(SPECIES != 1)
    result = Ensemble(logistic(), [(without, np.arange(150)[SPECIES == 1]), ([0, 60, 120], [1, 61, 121])]).fit(
        MEASURES, NAMES
    )
    assert result.members[0].valid.shape == (50, 3)
    assert (result.members[0].valid[:, 1] == 0).all()
    assert np.allclose(result.members[0].valid.sum(axis=1), 1)
    assert np.isfinite(result.members[0].scores["log_loss"])


@pytest.mark.parametrize("y", [NAMES, SPECIES.reshape(-1, 1), SPECIES.astype(float), np.eye(3)[SPECIES]])
def test_labels_of_every_kind_give_the_same_members(y):
    expected = Ensemble(logistic(), StratifiedFolds(3)).fit(MEASURES, SPECIES)
    assert np.array_equal(Ensemble(logistic(), StratifiedFolds(3)).fit(MEASURES, y).oof, expected.oof)


def test_values_in_several_columns_are_predicted_together():
    rows, y = load_diabetes(return_X_y=True)
    both = Ensemble(LinearRegression(), Folds(3)).fit(rows, np.column_stack([y, -y]))
    assert both.oof.shape == (442, 2)
    assert np.allclose(both.oof[:, :1], Ensemble(LinearRegression(), Folds(3)).fit(rows, y).oof)


@pytest.mark.parametrize(
    "estimator",
    [DecisionTreeClassifier(max_features=1), BaggingClassifier(DecisionTreeClassifier(max_features=1), 2)],
    ids=["tree", "nested"],
)
def test_members_draw_with_seeds_of_their_own_that_come_from_the_ensembles(estimator):
    before = np.random.get_state()[1].copy()
    results = [Ensemble(estimator, 3, seed=seed).fit(MEASURES, SPECIES) for seed in (0, 0, 1)]
    seeds = [member.model.random_state for member in results[0].members]
    assert len(set(seeds)) == 3
    assert np.array_equal(results[0].oof, results[1].oof)
    assert not np.array_equal(results[0].oof, results[2].oof)
    assert np.array_equal(np.random.get_state()[1], before)


def test_a_random_state_that_the_user_has_set_stays_and_the_estimator_is_not_fitted():
    tree = DecisionTreeClassifier(random_state=4)
    result = Ensemble(tree, 2).fit(MEASURES, SPECIES)
    assert [member.model.random_state for member in result.members] == [4, 4]
    assert not hasattr(tree, "tree_")


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (LogisticRegression(max_iter=500), "sample_weight"),
        (logistic(), "logisticregression__sample_weight"),
        (GridSearchCV(logistic(), {"logisticregression__C": [1]}, cv=2), "logisticregression__sample_weight"),
        (VotingClassifier([("a", LogisticRegression(max_iter=500))], voting="soft"), "sample_weight"),
    ],
    ids=["plain", "pipeline", "search", "vote"],
)
def test_weights_of_rows_reach_the_estimator(estimator, name):
    result = Ensemble(estimator, [(np.arange(100), np.arange(100, 150))]).fit(
        MEASURES[::-1], SPECIES[::-1], weights=WEIGHTS
    )
    alone = clone(estimator).fit(MEASURES[::-1][:100], SPECIES[::-1][:100], **{name: WEIGHTS[:100]})
    assert np.allclose(result.members[0].valid[:, alone.classes_], alone.predict_proba(MEASURES[::-1][100:]))


def test_weights_that_an_estimator_has_no_use_for_are_refused():
    for estimator in (KNeighborsClassifier(), make_pipeline(StandardScaler(), KNeighborsClassifier())):
        with pytest.raises(EnsembleError, match="takes no weights of rows"):
            Ensemble(estimator, 2).fit(MEASURES, SPECIES, weights=WEIGHTS)


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.coo_array, pd.DataFrame, np.ndarray.tolist])
def test_rows_of_every_kind_are_trained_on(kind):
    expected = Ensemble(LogisticRegression(max_iter=500), 2).fit(MEASURES, SPECIES, MEASURES[:5])
    result = Ensemble(LogisticRegression(max_iter=500), 2).fit(kind(MEASURES), SPECIES, kind(MEASURES[:5]))
    assert np.allclose(result.oof, expected.oof)
    assert np.allclose(result.test, expected.test)


def test_missing_numbers_are_the_business_of_estimators_that_take_them():
    holes = np.where(MEASURES > 6, np.nan, MEASURES)
    imputing = make_pipeline(StandardScaler(), SimpleImputer(), LogisticRegression())
    by_column = make_pipeline(
        make_column_transformer((SimpleImputer(), [0, 1, 2, 3])), LogisticRegression(max_iter=500)
    )
    for estimator in (DecisionTreeClassifier(max_depth=2), imputing, by_column):
        assert not np.isnan(Ensemble(estimator, 2).fit(holes, SPECIES, holes).test).any()
    with pytest.raises(EnsembleError, match="X has 70 values that are missing"):
        Ensemble(logistic(), 2).fit(holes, SPECIES)


def test_test_rows_stay_as_they_are_where_an_estimator_works_in_place():
    test = MEASURES[:20].copy()
    in_place = make_pipeline(StandardScaler(copy=False), LogisticRegression())
    result = Ensemble(in_place, StratifiedFolds(2)).fit(MEASURES, SPECIES, test)
    assert np.array_equal(test, MEASURES[:20])
    assert np.allclose(result.test, Ensemble(logistic(), StratifiedFolds(2)).fit(MEASURES, SPECIES, test).test)


def test_a_model_is_loaded_as_it_was_saved(tmp_path):
    trainer, path = SklearnTrainer(logistic()), tmp_path / "fold0.skops"
    fitted = Ensemble(trainer, 2).fit(MEASURES, SPECIES).members[0].fitted
    trainer.save(fitted, path)
    again = Fitted(trainer.load(path), statistics=fitted.statistics)
    assert np.array_equal(trainer.predict(again, MEASURES), trainer.predict(fitted, MEASURES))


def test_a_forest_is_loaded_only_if_it_is_trusted(tmp_path):
    forest, path = RandomForestClassifier(2), tmp_path / "fold0.skops"
    fitted = Ensemble(forest, 2).fit(MEASURES, SPECIES).members[0].fitted
    SklearnTrainer(forest).save(fitted, path)
    with pytest.raises(EnsembleError, match=r"trusted=\['sklearn.tree._tree.Tree'\]"):
        SklearnTrainer(forest).load(path)
    loaded = SklearnTrainer(forest, trusted=["sklearn.tree._tree.Tree"]).load(path)
    assert np.array_equal(loaded.predict(MEASURES), fitted.model.predict(MEASURES))


@pytest.mark.parametrize("content", [b"", b"no archive", b"half"])
def test_a_damaged_file_is_a_clear_error(tmp_path, content):
    path = tmp_path / "fold0.skops"
    SklearnTrainer(logistic()).save(Fitted(LogisticRegression()), path)
    path.write_bytes(path.read_bytes()[:200] if content == b"half" else content)
    with pytest.raises(EnsembleError, match=r"fold0\.skops is damaged"):
        SklearnTrainer(logistic()).load(path)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LogisticRegression, "or a scikit-learn estimator, but got"),
        (StandardScaler(), "or a scikit-learn estimator, but got"),
        (SklearnTrainer, "or a scikit-learn estimator, but got"),
        ("forest", "or a scikit-learn estimator, but got 'forest'"),
        (LinearSVC(), "LinearSVC has no predict_proba"),
        (VotingClassifier([("a", LogisticRegression())]), "has no predict_proba"),
        (KMeans(2), "KMeans is no classifier and no regressor"),
    ],
)
def test_what_cannot_be_a_member_is_refused_at_once(estimator, message):
    with pytest.raises(EnsembleError, match=message):
        Ensemble(estimator, 2).fit(MEASURES, SPECIES)
