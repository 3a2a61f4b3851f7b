"""Plans against what scikit-learn computes, and against the properties that they promise."""

import numpy as np
import pytest
from sklearn import model_selection as sk
from sklearn.datasets import load_iris

from mlpipeline.ensemble import (
    Bags,
    Folds,
    GivenSplits,
    GroupFolds,
    RepeatedFolds,
    StratifiedFolds,
    TimeSeriesFolds,
)
from mlpipeline.ensemble.plans import as_plan
from mlpipeline.errors import EnsembleError

SPECIES = np.array(["setosa", "versicolor", "virginica"])[load_iris().target]
GROUPS = np.arange(150) // 5
ALL = [
    Bags(4, 0.3),
    Bags(4, 0.3, stratify=True),
    Folds(4),
    Folds(4, shuffle=False),
    StratifiedFolds(4),
    GroupFolds(4),
    GroupFolds(4, stratify=True),
    RepeatedFolds(4, 2),
    RepeatedFolds(4, 2, stratify=True),
    TimeSeriesFolds(4),
]


def rows_of(splits):
    return [(split.train.tolist(), split.valid.tolist()) for split in splits]


@pytest.mark.parametrize("plan", ALL, ids=repr)
def test_no_row_is_on_both_sides_and_the_count_is_as_announced(plan):
    splits = plan.split(150, SPECIES, GROUPS, seed=3)
    assert len(splits) == plan.member_count
    assert all(not np.intersect1d(split.train, split.valid).size for split in splits)


@pytest.mark.parametrize("plan", [Folds(7), StratifiedFolds(7), GroupFolds(7)], ids=repr)
def test_folds_judge_every_row_once(plan):
    splits = plan.split(150, SPECIES, GROUPS)
    assert np.array_equal(np.sort(np.concatenate([split.valid for split in splits])), np.arange(150))


@pytest.mark.parametrize("plan", [StratifiedFolds(5), Bags(5, 0.2, stratify=True), RepeatedFolds(5, 2, stratify=True)])
def test_a_stratified_plan_keeps_the_shares_of_the_classes(plan):
    for split in plan.split(150, SPECIES):
        assert np.unique(SPECIES[split.valid], return_counts=True)[1].tolist() == [10, 10, 10]


def test_a_plan_stratifies_by_one_hot_rows_as_by_labels():
    classes = load_iris().target
    one_hot, column = np.eye(3)[classes], classes.reshape(-1, 1)
    by_labels = StratifiedFolds(5).split(150, classes)
    assert StratifiedFolds(5).split(150, one_hot).digest == by_labels.digest
    assert StratifiedFolds(5).split(150, column).digest == by_labels.digest


def test_rows_of_several_classes_cannot_be_stratified():
    with pytest.raises(EnsembleError, match="no single class"):
        StratifiedFolds(2).split(4, np.array([[1, 1], [1, 0], [0, 1], [0, 1]]))


@pytest.mark.parametrize("plan", [StratifiedFolds(5), RepeatedFolds(5, stratify=True), GroupFolds(5, stratify=True)])
def test_fewer_members_of_a_class_than_folds_are_named(plan):
    labels = ["common"] * 20 + ["rare"] * 3
    with pytest.raises(EnsembleError, match="class 'rare' has 3; use fewer folds"):
        plan.split(23, labels, np.arange(23))


def test_a_class_with_one_row_cannot_be_in_both_parts_of_a_stratified_bag():
    with pytest.raises(EnsembleError, match="class 1 has 1"):
        Bags(3, stratify=True).split(10, [0] * 9 + [1])


def test_groups_stay_together():
    for split in GroupFolds(4, stratify=True).split(150, SPECIES, GROUPS):
        assert not np.intersect1d(GROUPS[split.train], GROUPS[split.valid]).size


def test_time_series_folds_are_judged_by_what_comes_later():
    splits = TimeSeriesFolds(3, gap=2, max_train_size=30).split(100)
    assert all(split.train.max() + 2 < split.valid.min() and len(split.train) <= 30 for split in splits)


@pytest.mark.parametrize(
    "splitter",
    [
        sk.KFold(3),
        sk.ShuffleSplit(3, random_state=1),
        sk.StratifiedKFold(3, shuffle=True, random_state=1),
        sk.RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=1),
        sk.PredefinedSplit(np.arange(150) % 3),
    ],
    ids=lambda splitter: type(splitter).__name__,
)
def test_a_scikit_learn_splitter_gives_the_splits_that_it_gives_by_itself(splitter):
    expected = [(train.tolist(), valid.tolist()) for train, valid in splitter.split(np.zeros(150), SPECIES)]
    plan = as_plan(splitter)
    assert rows_of(plan.split(150, SPECIES)) == expected
    assert plan.member_count == len(expected)


def test_a_splitter_that_needs_groups_for_its_count_says_so_but_splits():
    plan = as_plan(sk.LeaveOneGroupOut())
    assert len(plan.split(150, SPECIES, GROUPS)) == 30
    with pytest.raises(EnsembleError, match="does not say how many"):
        _ = plan.member_count


@pytest.mark.parametrize("splitter", [sk.ShuffleSplit(2), sk.KFold(2, shuffle=True), sk.RepeatedKFold(n_splits=2)])
def test_an_open_random_state_is_seeded_and_the_global_one_left_alone(splitter):
    before = np.random.get_state()[1].copy()
    first, again, other = (as_plan(splitter).split(50, seed=seed).digest for seed in (1, 1, 2))
    assert first == again != other
    assert np.array_equal(np.random.get_state()[1], before)
    assert splitter.random_state is None


def test_a_splitter_with_a_generator_of_its_own_splits_the_same_way_at_each_call():
    splitter = sk.ShuffleSplit(2, random_state=np.random.RandomState(0))
    assert as_plan(splitter).split(50).digest == as_plan(splitter).split(50).digest


def test_the_seed_of_the_ensemble_counts_where_the_plan_has_none():
    assert Folds(3).split(30, seed=1).digest != Folds(3).split(30, seed=2).digest
    assert Folds(3, seed=1).split(30, seed=2).digest == Folds(3).split(30, seed=1).digest
    assert Folds(3, seed=1).split(30, seed=2).seed == 1


def test_given_splits_are_taken_as_numbers_or_masks():
    numbers = [([0, 1, 2], [3, 4]), ([2, 3, 4, 4], [0])]
    mask = np.array([True, True, True, False, False])
    assert rows_of(as_plan(numbers).split(5)) == numbers
    assert rows_of(GivenSplits([(mask, ~mask)]).split(5)) == [([0, 1, 2], [3, 4])]
    assert as_plan(numbers).split(5).name(1) == "bag1"


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (([0, 1], [1, 2]), "1 rows on both sides, the first of them 1"),
        (([0, 1], [5]), "from 0 to 4"),
        (([-1, 1], [2]), "from 0 to 4"),
        (([0.5, 1], [2]), "whole numbers"),
        (([], [2]), "at least one"),
        (([1, 2], [0], [3]), "must be a pair"),
        (3, "must be a pair"),
    ],
)
def test_splits_that_cannot_be_are_refused(pair, message):
    with pytest.raises(EnsembleError, match=message):
        as_plan([pair]).split(5)


def test_a_splitter_that_puts_rows_on_both_sides_is_refused():
    class Careless:
        def split(self, rows, y=None, groups=None):
            yield np.arange(len(rows)), np.arange(2)

    with pytest.raises(EnsembleError, match="on both sides"):
        as_plan(Careless()).split(5)


def test_splits_that_are_computed_are_a_plan_for_the_same_rows():
    splits = StratifiedFolds(3).split(150, SPECIES, seed=7)
    assert as_plan(splits).split(150, seed=1) is splits
    with pytest.raises(EnsembleError, match="computed for 150 rows, but there are 90"):
        as_plan(splits).split(90)


def test_a_number_is_a_number_of_folds():
    assert as_plan(np.int64(3)) == Folds(3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Folds(1), "count of Folds must be a whole number of at least 2"),
        (lambda: Bags(2.5), "count of Bags"),
        (lambda: Bags(2, 20), "share between 0 and 1"),
        (lambda: RepeatedFolds(3, 0), "repeats of RepeatedFolds"),
        (lambda: TimeSeriesFolds(3, gap=-1), "gap of TimeSeriesFolds"),
        (lambda: GivenSplits([]), "at least one pair"),
        (lambda: GivenSplits([([0], [1])], kind="part"), "kind of GivenSplits"),
        (lambda: as_plan("folds"), "plan must be"),
        (lambda: as_plan(Folds), "plan must be"),
        (lambda: Folds(5).split(4), "at least 5 rows"),
        (lambda: TimeSeriesFolds(5).split(5), "at least 6 rows"),
        (lambda: TimeSeriesFolds(3, gap=50).split(20), "cannot divide 20 rows"),
        (lambda: StratifiedFolds(3).split(9), "the targets are no classes"),
        (lambda: StratifiedFolds(3).split(9, [0, 1]), "one for each of 9 rows, but got 2"),
        (lambda: GroupFolds(3).split(9), "no groups were given"),
        (lambda: GroupFolds(3).split(9, groups=[0, 1, None] * 3), "groups are missing in 3 rows"),
        (lambda: GroupFolds(3).split(9, groups=np.zeros((9, 2))), "2 columns"),
        (lambda: GroupFolds(3).split(9, groups=[0, 1, 1] * 3), "cannot divide 9 rows"),
        (lambda: as_plan(sk.KFold(9)).split(5), "cannot divide 5 rows"),
    ],
)
def test_what_cannot_be_planned_is_refused(make, message):
    with pytest.raises(EnsembleError, match=message):
        make()
