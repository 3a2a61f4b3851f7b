"""How a search is described: what is taken, what is refused, and what its versions are."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from mlpipeline.description import describe_version
from mlpipeline.errors import MlpError, SearchError, VersionError
from mlpipeline.search import Choices, Range, make_search, trial_names
from mlpipeline.versions import Versions

SPACE: dict[str, Any] = {"learning_rate": (1e-4, 1e-1, "log"), "hidden": [16, 32], "dropout": (0.0, 0.5)}


def complete(**defaults: Any) -> Versions:
    return Versions(**{"dataloader": list, "batch_size": 4, "epoc_count": 2, **defaults})


def space_of(given: Any) -> Any:
    return make_search({"x": given}, "test.accuracy", "maximize").space["x"]


@pytest.mark.parametrize(
    ("given", "dimension"),
    [
        ([16, 32], Choices((16, 32))),
        ((1, 8), Range(1, 8, is_whole=True)),
        ((1, 8.0), Range(1.0, 8.0, is_whole=False)),
        ((1, 9, 2), Range(1, 9, is_whole=True, step=2)),
        ((0.001, 1, "log"), Range(0.001, 1.0, is_whole=False, is_log=True)),
        (FloatDistribution(0.0, 1.0, step=0.25), Range(0.0, 1.0, is_whole=False, step=0.25)),
        (IntDistribution(1, 64, log=True), Range(1, 64, is_whole=True, is_log=True)),
        (IntDistribution(2, 8), Range(2, 8, is_whole=True)),
        (CategoricalDistribution(["a", None]), Choices(("a", None))),
    ],
)
def test_a_space_is_written_as_lists_ranges_or_distributions(given: Any, dimension: Any) -> None:
    assert space_of(given) == dimension


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "list of choices for x is empty"),
        ([1, True], "True twice"),
        ((8, 1), "from a lower to a higher"),
        ((0.0, 1.0, "log"), "begins above 0"),
        ((16, 32, 64), "choices are given as a list"),
        ((0, float("nan")), "x needs a list of choices"),
        ((True, 3), "x needs a list of choices"),
        (0.1, "x needs a list of choices"),
        ("relu", "x needs a list of choices"),
        ((1, 2, "lag"), "x needs a list of choices"),
    ],
)
def test_a_dimension_that_means_nothing_is_refused(given: Any, message: str) -> None:
    with pytest.raises(SearchError, match=message):
        space_of(given)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"direction": "maximise"}, "did you mean maximize"),
        ({"metric": ""}, "must name a recorded metric"),
        ({"sampler": "tpee"}, "did you mean tpe"),
        ({"sampler": optuna.samplers.TPESampler}, "got the class TPESampler"),
        ({"pruner": "mediann"}, "did you mean median"),
        ({"sampler": "grid"}, "a grid needs a list or a step for learning_rate, dropout"),
        ({"sampler": "grid", "space": {"x": (1, 3), "y": [1, 2]}, "trials": 7}, "6 combinations, fewer than the 7"),
        ({"trials": 0}, "trials must be a whole number"),
        ({"name": ""}, "name must be a prefix"),
        ({"sampler_seed": 0.5}, "sampler_seed"),
        ({"space": {}}, "space must map parameters"),
        ({"space": {"seed": [1, 2]}}, "seed cannot be searched"),
        ({"hidden": 8}, "hidden is to be searched, and given as well"),
        ({"model_dir_suffix": "one"}, "a directory of its own"),
        ({"space": {"batch_size": (8.0, 64.0)}}, "batch_size must be a whole number"),
        ({"space": {"batch_size": [8, None]}}, "has no batch_size"),
        ({"batch_size": 0}, "batch_size must be a whole number above 0"),
    ],
)
def test_a_search_that_cannot_work_is_refused_at_once(changed: dict[str, Any], message: str) -> None:
    given = {"space": SPACE, "metric": "test.accuracy", "direction": "maximize", "trials": 2, **changed}
    with pytest.raises(MlpError, match=message):
        complete().search(**given)


def test_trials_are_versions_without_what_is_searched() -> None:
    versions = complete(learning_rate=0.5)
    made = versions.search(SPACE, "test.accuracy", "maximize", 3, momentum=0.9)
    assert versions.names() == [version.name for version in made] == ["trial-00", "trial-01", "trial-02"]
    assert all(key not in made[0] for key in SPACE)
    assert (made[0]["momentum"], made[0]["batch_size"]) == (0.9, 4)


def test_batch_size_epochs_and_data_may_be_searched() -> None:
    space = {"batch_size": [8, 16], "epoch_count": (1, 5), "dataloader": [list, dict]}
    version = Versions().search(space, "test.accuracy", "maximize", 1)[0]
    assert dict(version["search"].space).keys() == {"batch_size", "epoc_count", "dataloader"}


def test_a_description_is_the_same_for_all_trials_and_says_nothing_of_their_number() -> None:
    few, many = (complete().search(SPACE, "test.accuracy", "maximize", trials) for trials in (1, 5))
    assert describe_version(few[0]) == describe_version(many[4])
    assert describe_version(few[0])["search"] == (
        "maximize test.accuracy over learning_rate: 0.0001 to 0.1 log; hidden: one of 16, 32; dropout: 0.0 to 0.5; "
        "by tpe with seed 0"
    )


def test_names_keep_their_width_whatever_their_number() -> None:
    search = make_search(SPACE, "test.accuracy", "maximize")
    assert trial_names("t", 101, search)[::50] == ["t-00", "t-50", "t-100"]


def test_choices_of_any_kind_have_plain_labels() -> None:
    choices = Choices(((64, 32), list, None))
    assert [choices.value(label) for label in choices.labels()] == [(64, 32), list, None]


def test_a_trial_is_not_made_into_other_versions() -> None:
    trial = complete().search(SPACE, "test.accuracy", "maximize", 1)[0]
    with pytest.raises(SearchError, match="search over plain versions"):
        complete().add("fold0", **{key: value for key, value in trial.items() if key != "name"})


def test_the_names_of_two_searches_must_differ() -> None:
    versions = complete()
    versions.search(SPACE, "test.accuracy", "maximize", 1)
    with pytest.raises(VersionError, match="two versions"):
        versions.search(SPACE, "test.accuracy", "maximize", 1)
