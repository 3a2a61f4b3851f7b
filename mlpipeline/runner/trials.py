"""Trials: a version of a search gets its parameters here, and its search learns what has become of it.

Trial.of              asks the study for parameters, or goes on with those of the run before
Trial.__call__        hears each report; ends the run where the pruner gives it up
Trial.follow          runs, and tells the study how the run has ended
"""

from __future__ import annotations

import hashlib
import importlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlpipeline.description import describe, describe_version
from mlpipeline.errors import SearchError, did_you_mean
from mlpipeline.model import Model
from mlpipeline.records import Job, dumps
from mlpipeline.scripting import log
from mlpipeline.search import SEARCH, Choices, Search
from mlpipeline.versions import Version

if TYPE_CHECKING:
    import optuna

_VERSION, _STEP = "version", "step"  # attributes of a trial in its study


class Pruned(BaseException):
    """Ends a run that its search gives up. No `except Exception` of a script keeps it.

    Args:
        message: at which step, and by which value.
        metrics: as they were reported then; they are recorded as `pruned.<name>`.
    """

    def __init__(self, message: str, metrics: Mapping[str, float]) -> None:
        super().__init__(message)
        self.metrics = {f"pruned.{name}": value for name, value in metrics.items()}


class Trial:
    """One version of a search, in the process of its run.

    Args:
        job, version: what runs.
        search: the version's.
        is_exact: only reports under the metric's whole name count; else those under its last part do too.

    Attributes:
        version: with the parameters that were chosen, and the search as a text.
        job: told to begin afresh where the parameters are new.
    """

    def __init__(self, job: Job, version: Version, search: Search, *, is_exact: bool) -> None:
        self._search = search
        self._study, self._trial, is_new = _found_or_asked(job, version, search)
        # the search itself may hold functions, and a version may be sent to other processes
        self.version = version.replacing(**_chosen(search, self._trial.params), **{SEARCH: search.described(describe)})
        self.job = replace(job, clean_model_dir=True) if is_new else job
        self._worst = -math.inf if search.direction == "maximize" else math.inf
        self._process = os.getpid()
        self._given_up: Pruned | None = None
        frozen = self._frozen()
        self._count: int = max(frozen.intermediate_values, default=0)
        self._last_step: int = frozen.user_attrs.get(_STEP, -1)
        self._names = (search.metric,) if is_exact else (search.metric, search.metric.rpartition(".")[2])

    @classmethod
    def of(cls, job: Job, model: Model, version: Version) -> Trial | None:
        """Return the trial that a version is, or None where it is none of a search.

        Raises: SearchError: Optuna is not installed, or the study cannot be used.
        """
        search = version.get(SEARCH)
        if not isinstance(search, Search):
            return None
        is_exact = model._reports_training_part and not search.metric.startswith("train.")
        return cls(job, version, search, is_exact=is_exact)

    def __call__(self, step: int, total: int | None, metrics: Mapping[str, float]) -> None:
        """Hear a report. Raises: Pruned: the run is to end."""
        if os.getpid() != self._process:  # one that the script has started
            return
        if self._given_up is not None:  # the script has kept the exception
            raise self._given_up
        name = next((name for name in self._names if name in metrics), None)
        if self._search.pruner is None or name is None or step <= self._last_step:
            return
        self._count, self._last_step = self._count + 1, step
        # counted, since trials may differ in how many steps an epoch has
        self._trial.report(self._worst if math.isnan(metrics[name]) else metrics[name], self._count)
        self._trial.set_user_attr(_STEP, step)
        if self._trial.should_prune():
            self._given_up = Pruned(f"pruned at step {step}: {name} was {metrics[name]:.6g}", metrics)
            raise self._given_up

    def follow(self, run: Callable[[], Mapping[str, float]]) -> None:
        """Run, and tell the study how it has ended; what was interrupted may go on another time.

        Args:
            run: trains and evaluates, and returns metrics by name.
        Raises: SearchError: the run has no such metric. Whatever the run raises.
        """
        try:
            self._end_what_was_pruned()
            value = self._value(run())
        except KeyboardInterrupt:
            raise
        except Pruned:
            self._tell("PRUNED")
            raise
        except BaseException:
            self._tell("FAIL")
            raise
        # a search learns nothing from nan
        self._tell("COMPLETE" if math.isfinite(value) else "FAIL", value)

    def _end_what_was_pruned(self) -> None:
        """End at once what was given up before, and died before that was recorded."""
        frozen = self._frozen()
        if frozen.state.name == "PRUNED":
            value = frozen.intermediate_values[self._count] if self._count else math.nan
            step, name = self._last_step, self._search.metric
            raise Pruned(f"pruned at step {step}: {name} was {value:.6g}", {name: value})

    def _value(self, metrics: Mapping[str, float]) -> float:
        name = self._search.metric
        if name not in metrics:
            known = ", ".join(metrics) or "none"
            raise SearchError(
                f"search: the metric {name!r} is none of the run's{did_you_mean(name, metrics)}; it has {known}"
            )
        if self._search.pruner is not None and not self._count and not self.job.is_test:
            log(
                f"nothing was reported as {' or '.join(self._names)}, so that no trial can be pruned; call "
                "report(step, total, ...) in training, or give versions of a TorchModel evaluation_epochs"
            )
        return metrics[name]

    def _tell(self, state: str, value: float | None = None) -> None:
        from optuna.trial import TrialState

        try:
            if self._frozen().state == TrialState.RUNNING:  # else a run before this one has told
                is_complete = state == "COMPLETE"
                self._study.tell(self._trial.number, value if is_complete else None, state=TrialState[state])
        except (OSError, ValueError, KeyError, IndexError, TypeError, AssertionError) as error:
            # the run itself is worth more than what the search would learn of it
            log(f"the search could not be told how this trial ended, and learns nothing of it: {error}")

    def _frozen(self) -> optuna.trial.FrozenTrial:
        """Return what the study keeps of the trial now."""
        return self._study.get_trials(deepcopy=False)[self._trial.number]


def _found_or_asked(job: Job, version: Version, search: Search) -> tuple[optuna.Study, optuna.Trial, bool]:
    """Return the study, the version's trial in it, and whether it is new.

    A run that goes on has the trial of the run before; trials of runs that never will are told to have failed.
    """
    studies = _studies()
    from optuna.trial import Trial as TrialOfStudy
    from optuna.trial import TrialState

    name = hashlib.sha256(dumps(describe_version(version)).encode()).hexdigest()[:16]
    study = studies.open_study(search, name, job.study_file)
    earlier = [trial for trial in study.get_trials(deepcopy=False) if trial.user_attrs.get(_VERSION) == version.name]
    study.sampler = studies.make_sampler(search, f"{version.name} {len(earlier)}")
    if earlier and not job.clean_model_dir and _can_go_on(earlier[-1], search):
        return study, TrialOfStudy(study, earlier[-1]._trial_id), False
    for trial in earlier:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
    asked = study.ask()
    asked.set_user_attr(_VERSION, version.name)  # before the parameters: a kill between the two leaves nothing unnamed
    studies.suggest(asked, search)
    return study, asked, True


def _can_go_on(trial: optuna.trial.FrozenTrial, search: Search) -> bool:
    return trial.state.name != "FAIL" and trial.params.keys() == search.space.keys()


def _studies() -> ModuleType:
    """Return the module that knows Optuna. Raises: SearchError: it is not installed."""
    try:
        return importlib.import_module("mlpipeline.runner.studies")
    except ImportError as error:
        raise SearchError(
            f"a search needs Optuna, which cannot be imported ({error}); install it: pip install 'mlpipeline[search]'"
        ) from error


def _chosen(search: Search, labels: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that a study's plain values stand for."""
    dimensions = search.space.items()
    return {key: item.value(labels[key]) if isinstance(item, Choices) else labels[key] for key, item in dimensions}
