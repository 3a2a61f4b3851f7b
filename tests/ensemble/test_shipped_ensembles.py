"""The ensembles that ship: they list without loading, pass test mode, and are as good as they are said to be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.model_quality import PROJECT, script
from mlpipeline.ensemble import Ensemble
from mlpipeline.utils import ExecutionModeKeys
from tests.ensemble.member_runs import run

SCRIPTS = ("ensemble_ionosphere", "ensemble_digits")


@pytest.fixture(autouse=True)
def _in_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setitem(sys.modules, "altair", None)  # the picture is slow, and tested elsewhere


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_first_member_of_each_passes_test_mode(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = script(name)
    first = [version for version in module.MODEL.versions if version["member"] == 0]
    assert len(first) == 2
    assert all(version["dataloader"] is module.load for version in module.MODEL.versions)
    for version in first:
        metrics = run(module.MODEL, version.name, tmp_path, ExecutionModeKeys.TEST)
        assert {"valid_accuracy", "oof_accuracy", "test_ensemble_accuracy"} <= set(metrics)
    assert "WARNING" not in capsys.readouterr().out


def test_the_radial_networks_are_as_good_as_they_are_said_to_be() -> None:
    module = script("ensemble_ionosphere")
    version = module.MODEL.versions.get("radial-fold0")
    loader = module.load()
    ensemble = Ensemble(module.MODEL.trainer(version), version["plan"], module.MODEL.preprocessing(version))
    result = ensemble.run(loader.train, loader.test.X)
    assert (result.targets.labels(result.test) == loader.test.y).mean() > 0.93
