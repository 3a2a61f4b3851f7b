"""Trials in this process: what a study is asked, and what it is told."""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from mlpipeline.errors import SearchError
from mlpipeline.model import Model
from mlpipeline.records import Job
from mlpipeline.runner.sources import _imported_names
from mlpipeline.runner.trials import Pruned, Trial
from mlpipeline.versions import Versions

SPACE: dict[str, Any] = {"x": (0.0, 1.0), "layers": [(8,), (16, 8)]}
Make = Callable[..., Trial]


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    return tmp_path / "studies" / "a.journal"


@pytest.fixture
def trial(study_file: Path) -> Make:
    """Return what begins a trial: of a version by its number, afresh unless it resumes."""

    def make(number: int = 0, *, resumes: bool = False, file: Path | None = study_file, **search: Any) -> Trial:
        versions = Versions(dataloader=list, batch_size=4, epoc_count=1)
        given = {"space": SPACE, "metric": "test.accuracy", "direction": "maximize", "trials": 9, **search}
        version = versions.search(**given)[number]
        job = Job("r", "a.py", version.name, "", "", "", "", "", is_test=False, study_file=str(file or ""))
        begun = Trial.of(replace(job, clean_model_dir=not resumes), Model(versions), version)
        assert begun is not None
        return begun

    return make


def trials_in(path: Path) -> list[FrozenTrial]:
    """Read the studies of a file with Optuna alone."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    return [trial for study in storage.get_all_studies() for trial in storage.get_all_trials(study._study_id)]


def states(path: Path) -> list[str]:
    return [trial.state.name for trial in trials_in(path)]


def test_parameters_are_of_the_space_and_the_value_is_told(trial: Make, study_file: Path) -> None:
    first = trial()
    first.follow(lambda: {"test.accuracy": 0.75})
    assert 0 <= first.version["x"] <= 1
    assert first.version["layers"] in SPACE["layers"]
    [told] = trials_in(study_file)
    assert (told.state.name, told.value, told.params["x"]) == ("COMPLETE", 0.75, first.version["x"])


def test_a_version_that_is_not_searched_is_no_trial() -> None:
    versions = Versions(dataloader=list, batch_size=4, epoc_count=1)
    job = Job("r", "a.py", "v", "", "", "", "", "")
    assert Trial.of(job, Model(versions), versions.add("v", search="a word of the script's own")) is None


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_each_process_draws_other_parameters_and_the_same_ones_on_another_day(
    trial: Make, tmp_path: Path, sampler: str
) -> None:
    days = [[trial(n, sampler=sampler, file=tmp_path / day).version["x"] for n in range(4)] for day in ("a", "b")]
    assert len(set(days[0])) == 4
    assert days[0] == days[1]
    assert trial(0, sampler=sampler, sampler_seed=1, file=tmp_path / "c").version["x"] != days[0][0]


def test_tpe_learns_what_earlier_processes_have_reached(trial: Make) -> None:
    chosen = []
    for number in range(40):
        begun = trial(number, trials=40)
        chosen.append(begun.version["x"])
        begun.follow(lambda x=chosen[-1]: {"test.accuracy": -abs(x - 0.3)})
    late, early = ([abs(x - 0.3) for x in part] for part in (chosen[-15:], chosen[:10]))
    assert sum(late) / 15 < sum(early) / 10 / 2


def test_a_grid_tries_each_combination_once(trial: Make) -> None:
    space = {"x": (0, 2), "kind": ["a", None]}
    begun = [trial(number, space=space, sampler="grid", trials=6) for number in range(6)]
    for one in begun:
        one.follow(lambda: {"test.accuracy": 0.5})
    assert {(one.version["x"], one.version["kind"]) for one in begun} == set(product((0, 1, 2), ("a", None)))


def test_a_run_that_goes_on_keeps_its_parameters(trial: Make, study_file: Path) -> None:
    first = trial(1)
    second = trial(1, resumes=True)
    assert dict(second.version) == dict(first.version)
    assert not second.job.clean_model_dir
    assert states(study_file) == ["RUNNING"]


def test_a_chosen_version_may_be_sent_to_other_processes(trial: Make) -> None:
    begun = trial(sampler=lambda seed: optuna.samplers.RandomSampler(seed))
    assert dict(pickle.loads(pickle.dumps(begun.version))) == dict(begun.version)


def test_a_value_is_told_once(trial: Make, study_file: Path) -> None:
    first = trial()
    first.follow(lambda: {"test.accuracy": 0.5})
    again = trial(resumes=True)
    again.follow(lambda: {"test.accuracy": 0.9})
    assert again.version["x"] == first.version["x"]
    assert [told.value for told in trials_in(study_file)] == [0.5]


def test_a_run_that_begins_afresh_gives_up_the_trial_before_and_asks_anew(trial: Make, study_file: Path) -> None:
    first, second = trial(), trial()
    assert first.version["x"] != second.version["x"]
    assert states(study_file) == ["FAIL", "RUNNING"]


def test_a_run_that_goes_on_after_a_failure_was_told_begins_afresh(trial: Make) -> None:
    first = trial()
    with pytest.raises(ZeroDivisionError):
        first.follow(lambda: {"test.accuracy": 1 / 0})
    again = trial(resumes=True)
    assert again.version["x"] != first.version["x"]
    assert again.job.clean_model_dir


@pytest.mark.parametrize(("value", "state"), [(math.nan, "FAIL"), (math.inf, "FAIL"), (-1.0, "COMPLETE")])
def test_what_is_no_finite_number_is_told_as_a_failure(trial: Make, study_file: Path, value: float, state: str) -> None:
    trial().follow(lambda: {"test.accuracy": value})
    assert states(study_file) == [state]


def test_a_metric_that_is_not_there_is_named_beside_those_that_are(trial: Make) -> None:
    with pytest.raises(SearchError, match=r"'test.accuracy' is none.*did you mean test.acuracy.*it has test.acuracy"):
        trial().follow(lambda: {"test.acuracy": 1.0})


def test_an_interrupt_leaves_the_trial_to_go_on(trial: Make, study_file: Path) -> None:
    def interrupted() -> dict[str, float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trial().follow(interrupted)
    assert states(study_file) == ["RUNNING"]


def below_half() -> optuna.pruners.BasePruner:
    return optuna.pruners.ThresholdPruner(lower=0.5)


def test_a_pruned_run_ends_with_what_it_reported_last(trial: Make, study_file: Path) -> None:
    begun = trial(pruner=below_half)

    def run() -> dict[str, float]:
        begun(10, 100, {"accuracy": 0.6})
        begun(20, 100, {"loss": 0.1})
        begun(20, 100, {"accuracy": 0.4, "loss": 0.2})
        raise AssertionError("it goes on")

    with pytest.raises(Pruned, match=r"pruned at step 20: accuracy was 0\.4") as caught:
        begun.follow(run)
    assert caught.value.metrics == {"pruned.accuracy": 0.4, "pruned.loss": 0.2}
    assert [told.intermediate_values for told in trials_in(study_file)] == [{1: 0.6, 2: 0.4}]
    assert states(study_file) == ["PRUNED"]


def test_a_script_that_keeps_the_exception_gets_it_again(trial: Make) -> None:
    begun = trial(pruner=below_half)
    for step in (1, 2):
        with pytest.raises(Pruned, match="at step 1"):
            begun(step, None, {"test.accuracy": 0.1 if step == 1 else 0.9})


def test_each_step_counts_once_even_when_a_resumed_run_reports_it_again(trial: Make, study_file: Path) -> None:
    trial(pruner="median")(5, None, {"accuracy": 0.6})
    again = trial(pruner="median", resumes=True)
    for step, value in ((5, 0.7), (10, 0.8)):
        again(step, None, {"accuracy": value})
    assert trials_in(study_file)[0].intermediate_values == {1: 0.6, 2: 0.8}


def test_a_trial_that_was_pruned_and_died_ends_without_running(trial: Make) -> None:
    begun = trial(pruner=below_half)
    with pytest.raises(Pruned):
        begun.follow(lambda: begun(7, None, {"accuracy": 0.25}) or {})
    with pytest.raises(Pruned, match=r"pruned at step 7: test\.accuracy was 0\.25"):
        trial(pruner=below_half, resumes=True).follow(lambda: pytest.fail("it ran"))


def test_nan_is_pruned_by_the_median_once_there_is_one(trial: Make, study_file: Path) -> None:
    for number in range(5):
        begun = trial(number, pruner="median")
        begun(1, None, {"accuracy": 0.5})
        begun.follow(lambda: {"test.accuracy": 0.5})
    with pytest.raises(Pruned, match="accuracy was nan"):
        trial(5, pruner="median")(1, None, {"accuracy": math.nan})


def test_reports_of_a_process_that_the_script_has_started_do_not_count(trial: Make) -> None:
    begun = trial(pruner=below_half)
    if (pid := os.fork()) == 0:
        try:
            begun(1, None, {"accuracy": 0.1})
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_in_test_mode_nothing_is_written(trial: Make, study_file: Path) -> None:
    trial(file=None).follow(lambda: {"test.accuracy": 0.5})
    assert not study_file.parent.exists()


def test_other_fixed_parameters_are_another_search(trial: Make, study_file: Path) -> None:
    trial(momentum=0.5)
    trial(momentum=0.9)
    assert states(study_file) == ["RUNNING", "RUNNING"]


def test_a_half_line_that_a_crash_has_left_is_taken_back(trial: Make, study_file: Path) -> None:
    trial(0).follow(lambda: {"test.accuracy": 0.5})
    with study_file.open("a") as file:
        file.write('{"op_code":5,"wor')
    trial(1).follow(lambda: {"test.accuracy": 0.25})
    assert [told.value for told in trials_in(study_file)] == [0.5, 0.25]


def test_a_damaged_study_is_named(trial: Make, study_file: Path) -> None:
    trial()
    study_file.write_text("no json\n" + study_file.read_text())
    with pytest.raises(SearchError, match=r"a.journal is damaged.*the search begins anew"):
        trial()


@pytest.mark.parametrize("maker", [{"sampler": lambda seed: seed}, {"pruner": lambda: "median"}])
def test_a_maker_must_make_what_it_stands_for(trial: Make, maker: dict[str, Any]) -> None:
    with pytest.raises(SearchError, match=r"must return one of optuna\.(samplers|pruners)"):
        trial(**maker)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("versions.search(space, metric='m', direction='maximize', trials=3)", ("optuna",)),
        ("V.search(SPACE, 'm', 'maximize', 3)", ("optuna",)),
        ("re.search('a', text, flags=re.I)", ()),
        ("search(metric=1)", ()),
    ],
)
def test_a_script_that_searches_names_optuna(tmp_path: Path, line: str, names: tuple[str, ...]) -> None:
    path = tmp_path / "a.py"
    path.write_text(line)
    assert _imported_names(str(path)) == names
