"""The shipped search: its data, and a few of its trials run by a real daemon; and the one of the guide."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.model_quality import PROJECT, script
from mlpipeline.records import Job
from mlpipeline.runner.trials import Trial
from tests.pytorch.life_cycle import run
from tests.support import Folder


def test_the_held_out_rows_are_the_test_part_of_the_other_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    ours, theirs = script("search_ionosphere").load(), script("mlp_binary_ionosphere").load()
    train, validation, held_out = ours.parts.train, ours.parts.test, ours.held_out
    assert held_out.inputs.equal(theirs.parts.test.inputs)
    assert (len(train), len(validation), len(held_out)) == (157, 78, 116)
    rest = {tuple(row) for row in theirs.parts.train.inputs.tolist()}
    divided = [tuple(row) for part in (train, validation) for row in part.inputs.tolist()]
    assert len(divided) == len(theirs.parts.train)
    assert set(divided) == rest


def test_trials_of_the_shipped_search_are_recorded_with_what_they_chose(folder: Folder) -> None:
    shutil.copy(PROJECT / "models" / "search_ionosphere.py", folder.models)
    (folder.root / "data").mkdir()
    shutil.copy(PROJECT / "data" / "ionosphere.csv", folder.root / "data")
    folder.queue("search_ionosphere.py")
    folder.environment["OMP_NUM_THREADS"] = "1"
    folder.run("-r", "--only", "search_ionosphere.py:trial-0[01]")
    records = folder.history()
    assert [record["status"] for record in records] == ["SUCCEEDED"] * 2
    assert len({record["parameters"]["learning_rate"] for record in records}) == 2
    assert {"test.accuracy", "test.held_out_accuracy"} <= records[0]["metrics"].keys()
    curve = Path(folder.model_dir("search_ionosphere-trial-00"), "metrics.jsonl").read_text().splitlines()
    assert sum('"test.accuracy"' in line for line in curve) == 10


def test_the_script_of_the_guide_trains_and_its_best_trial_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    guide = (PROJECT / "docs" / "search.md").read_text().partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {"__name__": "iris"}
    exec(guide, names)
    model, version = names["MODEL"], names["versions"].get("trial-07")
    trial = Trial.of(Job("", "iris.py", "trial-07", "", "", "", "", "", is_test=False), model, version)
    assert trial
    chosen = trial.version.replacing(dataloader=version["dataloader"]())
    run(model, chosen, tmp_path)
    rows = chosen["dataloader"].parts.test.inputs[:5].numpy()
    predicted = model.predict(rows).tolist()
    model.versions.add("best", **{key: chosen[key] for key in ("learning_rate", "hidden", "momentum", "batch_size")})
    assert model.load("best", tmp_path).predict(rows).tolist() == predicted
