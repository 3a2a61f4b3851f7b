"""What a search finds in the ionosphere data, beside a grid and random choices in the same number of runs.

Usage: python -m benchmarks.search_quality [--quick] [--divisions N]

Each seed is another division of the rows into training, validation and test part, and another beginning of every
training. All methods choose from the same box of parameters, by one metric on the validation part: three parameters,
of which a grid has both ends and the middle; or the five of the shipped search, of which it has two values each. The
test part is looked at once: with what was chosen.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.model_quality import PROJECT, script, spread, train_and_evaluate
from benchmarks.table import print_table
from mlpipeline.pytorch import TableLoader
from mlpipeline.records import Job
from mlpipeline.reporting import listen
from mlpipeline.runner.trials import Pruned, Trial
from mlpipeline.utils import Version, Versions

DIRECTIONS = {"accuracy": "maximize", "loss": "minimize"}


@dataclass(frozen=True)
class Setting:
    """What is chosen from, and by what.

    Args:
        metric: on the validation part.
        box: the space of the search.
        grid: as many values of each parameter as give about as many combinations as a person would wait for.
        fixed: the other parameters.
    """

    metric: str
    box: Mapping[str, Any]
    grid: Mapping[str, list[Any]]
    fixed: Mapping[str, Any]

    @property
    def runs(self) -> int:
        return math.prod(map(len, self.grid.values()))


_THREE: dict[str, Any] = {"learning_rate": (1e-3, 1e-1, "log"), "hidden": (8, 128, "log"), "dropout": (0.0, 0.5)}
_FIVE: dict[str, Any] = {**_THREE, "weight_decay": (1e-4, 1.0, "log"), "batch_size": [16, 32, 64]}
# both ends and the middle
_GRID_OF_THREE: dict[str, list[Any]] = {
    "learning_rate": [1e-3, 1e-2, 1e-1],
    "hidden": [8, 32, 128],
    "dropout": [0.0, 0.25, 0.5],
}
# a quarter from each end
_GRID_OF_FIVE: dict[str, list[Any]] = {
    "learning_rate": [10**-2.5, 10**-1.5],
    "hidden": [16, 64],
    "dropout": [0.125, 0.375],
    "weight_decay": [1e-3, 1e-1],
    "batch_size": [16, 64],
}
_FIXED: dict[str, Any] = {"weight_decay": 0.01, "batch_size": 32, "epoc_count": 40}
SETTINGS = [
    Setting("accuracy", _THREE, _GRID_OF_THREE, _FIXED),
    Setting("loss", _THREE, _GRID_OF_THREE, _FIXED),
    Setting("accuracy", _FIVE, _GRID_OF_FIVE, {"epoc_count": 40}),
    Setting("loss", _FIVE, _GRID_OF_FIVE, {"epoc_count": 40}),
]


@dataclass(frozen=True)
class Score:
    """One run.

    Args:
        validation: what runs are chosen by, the larger the better.
        test: accuracy on rows that nothing looked at.
        seconds: of the run.
    """

    validation: float
    test: float
    seconds: float


@dataclass(frozen=True)
class Study:
    """What a method works with in one division of the rows.

    Args:
        seed: of the division, the trainings and the choices.
        file: where the search keeps what it knows.
    """

    setting: Setting
    model: Any
    loader: TableLoader
    seed: int
    file: Path


Method = Callable[[Study], Iterator[Score]]


def grid_scores(study: Study) -> Iterator[Score]:
    """Yield the score of each combination of the grid."""
    for version in Versions(dataloader=study.loader, **study.setting.fixed).grid(study.setting.grid):
        yield _score(study, version)


def search_scores(sampler: str, pruner: str | None = None) -> Method:
    """Return what yields the score of each trial of a search."""

    def scores(study: Study) -> Iterator[Score]:
        setting = study.setting
        evaluated: dict[str, Any] = {"evaluation_epochs": 4} if pruner else {}
        versions = Versions(dataloader=study.loader, **setting.fixed, **evaluated)
        metric, direction = f"test.{setting.metric}", DIRECTIONS[setting.metric]
        made = versions.search(setting.box, metric, direction, setting.runs, sampler, pruner, sampler_seed=study.seed)
        for version in made:
            job = Job("", "", version.name, "", "", "", "", "", is_test=False, study_file=str(study.file))
            trial = Trial.of(job, study.model, version)
            assert trial
            yield _followed(study, trial, metric)

    return scores


_GRID = "grid"
METHODS: dict[str, Method] = {
    _GRID: grid_scores,
    "search, random": search_scores("random"),
    "search, tpe": search_scores("tpe"),
    "search, tpe, pruned by median": search_scores("tpe", "median"),
}


def _followed(study: Study, trial: Trial, metric: str) -> Score:
    scores: list[Score] = []

    def run() -> dict[str, float]:
        scores.append(_score(study, trial.version))
        return {metric: _sign(study.setting.metric) * scores[0].validation}

    start = time.perf_counter()
    listen(trial)
    try:
        trial.follow(run)
    except Pruned:
        return Score(-math.inf, 0.0, time.perf_counter() - start)
    finally:
        listen()
    return scores[0]


def _score(study: Study, version: Version) -> Score:
    start = time.perf_counter()
    # every run begins from other weights, as versions of a script do
    outcome = train_and_evaluate(study.model, version, zlib.crc32(f"{study.seed} {version.name}".encode()))
    value = _sign(study.setting.metric) * outcome.metrics[study.setting.metric]
    return Score(value, outcome.metrics["held_out_accuracy"], time.perf_counter() - start)


def _sign(metric: str) -> int:
    return 1 if DIRECTIONS[metric] == "maximize" else -1


@dataclass(frozen=True)
class Outcome:
    """What a method has found in one division of the rows: the score of the best run, and the seconds of all."""

    best: Score
    seconds: float


def outcome_of(scores: Iterable[Score]) -> Outcome:
    """Choose the run that is best on the validation part, the first of equals."""
    listed = list(scores)
    return Outcome(max(listed, key=lambda score: score.validation), sum(score.seconds for score in listed))


def outcomes_of(method: Method, setting: Setting, module: ModuleType, seeds: int) -> list[Outcome]:
    """Return what a method finds in each division of the rows."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            loader = module.ThreeParts(PROJECT / "data" / "ionosphere.csv", header=False, seed=seed)
            found.append(outcome_of(method(Study(setting, module.MODEL, loader, seed, Path(folder, str(seed))))))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two divisions of the rows")
    parser.add_argument("--divisions", type=int, default=10, help="of the rows (10)")
    arguments = parser.parse_args()
    seeds = 2 if arguments.quick else arguments.divisions
    module = script("search_ionosphere")
    for setting in SETTINGS:
        compare(setting, module, seeds)


def compare(setting: Setting, module: ModuleType, seeds: int) -> None:
    """Print what each method finds in one setting."""
    found = {name: outcomes_of(method, setting, module, seeds) for name, method in METHODS.items()}
    print_table(
        f"Best of {setting.runs} runs by validation {setting.metric}, {len(setting.box)} parameters, {seeds} divisions",
        ["method", f"validation {setting.metric}", "better / as good / worse than grid", "test accuracy", "seconds"],
        [_row(name, setting.metric, outcomes, found[_GRID]) for name, outcomes in found.items()],
    )


def _row(name: str, metric: str, outcomes: list[Outcome], grid: list[Outcome]) -> list[str]:
    differences = [ours.best.validation - theirs.best.validation for ours, theirs in zip(outcomes, grid, strict=True)]
    better, worse = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    return [
        name,
        spread(_sign(metric) * outcome.best.validation for outcome in outcomes),
        "" if name == _GRID else f"{better} / {len(differences) - better - worse} / {worse}",
        spread(outcome.best.test for outcome in outcomes),
        f"{statistics.fmean(outcome.seconds for outcome in outcomes):.1f}",
    ]


if __name__ == "__main__":
    main()
