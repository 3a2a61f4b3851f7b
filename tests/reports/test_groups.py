"""Repeated runs: which are grouped, and their statistics against SciPy's."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlpipeline.project import load_project
from mlpipeline.reports.comparison import Comparison, Question, compare_runs
from mlpipeline.reports.history import History
from mlpipeline.reports.student import sample_of, t_quantile, t_tail, welch_p
from tests.reports.records import end, write

GOOD, BETTER = [0.80, 0.82, 0.78, 0.81], [0.90, 0.93, 0.91]


def seeds(first: int, name: str, values: list[float], **parameters: Any) -> list[dict[str, Any]]:
    """Return the records of versions that differ in nothing but the seed."""
    return [
        end(
            first + number,
            version=f"{name}-{number}",
            parameters={"learning_rate": 0.1, "seed": number, **parameters},
            seed=number,
            seconds=1.0 + number,
            metrics={"test.accuracy": value},
        )
        for number, value in enumerate(values)
    ]


def compared(root: Path, *, every: bool = False, **question: Any) -> Comparison:
    with History(load_project(root)) as history:
        return compare_runs(history.runs() if every else history.latest(), Question(**question))


def rows(table: Comparison) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


@pytest.mark.parametrize("freedom", [1, 1.7, 2, 5, 30, 1000])
def test_the_t_distribution_is_that_of_scipy(freedom: float) -> None:
    for t in (0.0, 0.1, 1.0, 2.5, 12.0):
        assert t_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-9)
    assert t_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 10), (40, 4)])
def test_mean_deviation_interval_and_welchs_test_are_those_of_scipy(sizes: tuple[int, int]) -> None:
    generator = np.random.default_rng(3)
    first, second = generator.normal(0, 1, sizes[0]), generator.normal(0.7, 3, sizes[1])
    sample, other = sample_of(first.tolist()), sample_of(second.tolist())
    assert (sample.mean, sample.deviation) == pytest.approx((first.mean(), first.std(ddof=1)))
    low, high = stats.t.interval(0.95, len(first) - 1, first.mean(), stats.sem(first))
    assert sample.interval() == pytest.approx((high - low) / 2)
    assert welch_p(sample, other) == pytest.approx(stats.ttest_ind(first, second, equal_var=False).pvalue)


def test_too_few_or_equal_values_give_no_test() -> None:
    several = sample_of([1.0, 2.0, 3.0])
    assert welch_p(several, sample_of([5.0])) is None
    assert welch_p(sample_of([]), several) is None
    assert welch_p(sample_of([1.0, 1.0]), sample_of([2.0, 2.0])) is None  # copies of one run
    assert welch_p(several, sample_of([2.0, 2.0])) == pytest.approx(1.0)
    assert sample_of([1.0]).interval() is None


def test_versions_that_differ_in_the_seed_are_one_row_with_the_best_mean_first(tmp_path: Path) -> None:
    write(tmp_path / "outputs", *seeds(0, "good", GOOD), *seeds(10, "better", BETTER, learning_rate=0.2))
    table = compared(tmp_path)
    best, second = rows(table)
    assert table.is_grouped
    assert table.best == 0
    assert (best["n"], second["n"]) == (3, 4)
    assert best["test.accuracy"] == pytest.approx(np.mean(BETTER))
    assert second["sd"] == pytest.approx(np.std(GOOD, ddof=1))
    assert second["delta"] == pytest.approx(np.mean(GOOD) - np.mean(BETTER))
    assert second["p"] == pytest.approx(stats.ttest_ind(GOOD, BETTER, equal_var=False).pvalue)
    assert best["p"] is None
    assert (second["name"], second["status"]) == ("a.py:good-0 +3", "SUCCEEDED")
    assert second["seconds"] == pytest.approx(2.5)
    assert [row["learning_rate"] for row in (best, second)] == [0.2, 0.1]
    assert second["seed"] == "0, 1, 2, 3"


def test_without_repetitions_each_run_is_a_row_unless_groups_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "outputs", *(end(k, parameters={"learning_rate": k}) for k in range(3)))
    assert not compared(tmp_path).is_grouped
    assert [row["n"] for row in rows(compared(tmp_path, groups=True))] == [1, 1, 1]


def test_groups_can_be_refused(tmp_path: Path) -> None:
    write(tmp_path / "outputs", *seeds(0, "good", GOOD))
    table = compared(tmp_path, groups=False)
    assert (table.is_grouped, len(table.rows)) == (False, 4)
    assert [row["seed"] for row in rows(table)] == [1, 3, 0, 2]


def test_several_runs_of_a_version_are_grouped_where_all_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "outputs", *(end(k, version="v1", metrics={"test.accuracy": k / 10}) for k in range(5)))
    [row] = rows(compared(tmp_path, every=True))
    assert (row["name"], row["n"], row["test.accuracy"]) == ("a.py:v1", 5, pytest.approx(0.2))
    assert len(compared(tmp_path).rows) == 1


def test_only_finite_metrics_of_runs_that_succeeded_count(tmp_path: Path) -> None:
    records = seeds(0, "v", [0.5, 0.7, 0.9, 0.99])
    records[2]["metrics"] = {"test.accuracy": "nan"}
    records[3]["status"] = "FAILED"
    write(tmp_path / "outputs", *records)
    [row] = rows(compared(tmp_path))
    assert (row["n"], row["test.accuracy"]) == (2, pytest.approx(0.6))
    assert row["status"] == "3 SUCCEEDED, 1 FAILED"


def test_a_group_without_any_value_is_last_and_has_none(tmp_path: Path) -> None:
    failed = seeds(10, "failed", [0.99, 0.98], learning_rate=5)
    for record in failed:
        record["status"] = "CRASHED"
    write(tmp_path / "outputs", *failed, *seeds(0, "good", GOOD))
    good, last = rows(compared(tmp_path))
    assert (good["n"], last["n"]) == (4, 0)
    assert [last[name] for name in ("test.accuracy", "sd", "ci95", "delta", "p")] == [None] * 5


def test_other_scripts_and_other_parameters_are_no_repetitions(tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [{"x": 1}, {"x": "1"}, {"x": [1]}, {"x": None}, {"x": True}, {"y": 1}, {}]
    records = [
        end(k, script=script, version=f"v{k}", parameters=parameters)
        for k, (script, parameters) in enumerate(itertools.product(("a.py", "b.py"), kinds))
    ]
    write(tmp_path / "outputs", *records)
    assert len(compared(tmp_path, groups=True).rows) == len(records)


def test_scripts_that_could_not_be_loaded_are_not_grouped(tmp_path: Path) -> None:
    write(tmp_path / "outputs", *(end(k, version=None, status="FAILED", parameters={}, metrics={}) for k in range(2)))
    assert len(compared(tmp_path, every=True).rows) == 2


def test_values_beyond_squares_have_no_deviation_and_do_not_stop() -> None:
    assert sample_of([1e200, -1e200, 1.0]).deviation is None
    assert sample_of([1.7e308, 1.7e308, 1.0]).deviation is None
