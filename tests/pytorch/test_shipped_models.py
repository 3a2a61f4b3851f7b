from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.model_quality import MNIST, PROJECT, script
from mlpipeline.pytorch import ImageLoader, TorchModel
from mlpipeline.utils import Version
from tests.pytorch.life_cycle import run

# the best version of each, and what it must reach on one split: far above a dummy, below the mean of ten
BEST = {
    "mlp_binary_ionosphere": ("radial", "accuracy", 0.90),
    "mlp_multiclass_iris": ("gaussian", "accuracy", 0.92),
    "mlp_regression_housing": ("eight", "rmse", 4.5),
    "cnn_digits": ("channels16", "accuracy", 0.96),
}


@pytest.fixture(autouse=True)
def _in_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)


@pytest.mark.parametrize("name", BEST)
def test_best_version_is_as_good_as_it_is_said_to_be(name: str, tmp_path: Path) -> None:
    module = script(name)
    best, metric, bound = BEST[name]
    version = module.MODEL.versions.get(best).replacing(dataloader=module.load())
    score = run(module.MODEL, version, tmp_path)[metric]
    assert score < bound if metric == "rmse" else score > bound


@pytest.mark.parametrize("name", [*BEST, "cnn_mnist"])
def test_script_has_several_versions_and_loads_nothing_to_list_them(name: str) -> None:
    module = script(name)
    assert len(module.MODEL.versions) >= 2
    assert all(version["dataloader"] is module.load for version in module.MODEL.versions)


@pytest.mark.parametrize("name", BEST)
def test_every_version_passes_test_mode_without_a_warning(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = script(name)
    for version in module.MODEL.versions:
        one_step(module.MODEL, version.replacing(dataloader=module.load()), tmp_path)
    assert "WARNING" not in capsys.readouterr().out


def test_mnist_learns_within_a_hundred_steps(tmp_path: Path) -> None:
    if not (MNIST / "MNIST" / "raw").exists():
        pytest.skip(f"MNIST is not in {MNIST}; set MNIST_FOLDER to where it lies")
    module = script("cnn_mnist")
    loader = ImageLoader("MNIST", MNIST, train_count=6400)
    version = module.MODEL.versions.get("three-epochs").replacing(dataloader=loader, epoc_count=1)
    assert run(module.MODEL, version, tmp_path)["accuracy"] > 0.9


def one_step(model: TorchModel, version: Version, folder: Path) -> None:
    model.clean_model_dir(str(folder))
    model.pre_execution_hook(version, str(folder), "Test")
    model.train_model(version["dataloader"].get_train_input(mode="Test"), 1)
    model.evaluate_model(version["dataloader"].get_train_input(mode="Test"), 1)
    model.evaluate_model(version["dataloader"].get_test_input(), 1)
