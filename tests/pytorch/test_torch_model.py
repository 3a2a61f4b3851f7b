from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler

from mlpipeline.errors import DataError, ModelDirError, ScriptError
from mlpipeline.pytorch import ArrayLoader, TableLoader, TorchModel
from mlpipeline.utils import DataLoader, ExecutionModeKeys, Version, Versions
from tests.pytorch.life_cycle import Linear, blobs, rows, run, seed_all, version
from tests.support import Report


def new(kind: type[TorchModel] = Linear) -> TorchModel:
    return kind(Versions())


def building(*layers: nn.Module, loss: Any = None) -> TorchModel:
    class Given(TorchModel):
        def build(self, version: Version) -> nn.Module:
            return nn.Sequential(*layers)

    if loss is not None:
        Given.loss = lambda self, version: loss  # type: ignore[method-assign]
    return Given(Versions())


def line(count: int = 60) -> ArrayLoader:
    """Return a regression whose values lie on a plane, far from 0 and in a large unit."""
    inputs = rows(count, 2)
    return ArrayLoader(inputs, 5000 + 300 * inputs[:, 0] - 200 * inputs[:, 1])


def test_weights_are_those_of_a_plain_training_loop(tmp_path: Path) -> None:
    loader = blobs()
    part = loader.get_train_input()
    # all rows in each batch, so that their order has no part in it
    run(new(), version(loader, epoc_count=5, batch_size=len(part)), tmp_path)
    seed_all(7)
    network = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(network(part.inputs), part.targets).backward()
        optimizer.step()
    weights = load_file(tmp_path / "weights.safetensors")
    assert torch.allclose(weights["weight"], network.weight, atol=1e-6)
    assert torch.allclose(weights["bias"], network.bias, atol=1e-6)


def test_accuracy_is_that_of_the_predicted_labels(tmp_path: Path) -> None:
    loader, model = blobs(200), new()
    metrics = run(model, version(loader, epoc_count=5), tmp_path)
    part = loader.get_test_input()
    wanted = np.array(loader.classes)[part.targets[:, 0].long().numpy()]
    labels = model.predict(unscaled(loader, part.inputs))
    assert metrics["accuracy"] == pytest.approx((labels == wanted).mean())
    assert metrics["accuracy"] > 0.85


def unscaled(loader: ArrayLoader, inputs: Tensor) -> Any:
    scale = loader.parts.encode.__self__  # type: ignore[attr-defined]
    return inputs.numpy() * scale.deviation + scale.mean


def test_regression_is_measured_and_predicted_in_its_own_unit(tmp_path: Path) -> None:
    loader, model = line(), new()
    metrics = run(model, version(loader, epoc_count=4), tmp_path)
    part = loader.get_test_input()
    error = model.predict(unscaled(loader, part.inputs)) - loader.decode(part.targets)
    assert metrics["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-3)
    assert metrics["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-3)
    assert 20 < metrics["rmse"] < 200


def test_prediction_takes_a_frame_lists_and_one_row(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": [0.0, 1, 2, 3, 10, 11, 12, 13], "colour": ["red", "blue"] * 4, "y": list("aaaabbbb")})
    model = new()
    run(model, version(TableLoader(table, test_fraction=0.25), epoc_count=50), tmp_path)
    assert model.predict(table).tolist() == list("aaaabbbb")
    assert model.predict(table[["colour", "x"]]).tolist() == list("aaaabbbb")
    assert model.predict([[0.5, "red"], [12.5, "blue"]]).tolist() == ["a", "b"]
    assert model.predict([12.5, "blue"]).tolist() == ["b"]


def test_a_trained_model_is_loaded_to_predict(tmp_path: Path) -> None:
    loader, model = blobs(), new()
    run(model, version(loader), tmp_path)
    loaded = Linear(Versions(dataloader=blobs, batch_size=8, epoch_count=3))
    loaded.versions.add("v")
    assert (loaded.load("v", tmp_path).predict(loader.inputs) == model.predict(loader.inputs)).all()
    with pytest.raises(ModelDirError, match=r"there are no weights at .*missing"):
        loaded.load("v", tmp_path / "missing")


def test_predicting_with_an_untrained_network_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loader, model = blobs(), new()
    model.pre_execution_hook(version(loader), str(tmp_path), ExecutionModeKeys.TRAIN)
    model.predict(loader.inputs)
    assert "neither been trained nor loaded" in capsys.readouterr().out


def test_probabilities_of_all_classes_sum_to_one(tmp_path: Path) -> None:
    loader = ArrayLoader(rows(60, 4), np.arange(60) % 3, task="multiclass")
    model = new()
    run(model, version(loader), tmp_path)
    probabilities = model.probabilities(loader.inputs)
    assert probabilities.shape == (60, 3)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-6)
    assert (model.predict(loader.inputs) == probabilities.argmax(1)).all()


def test_test_mode_trains_one_step_and_evaluates_one_row(tmp_path: Path) -> None:
    model, chosen = new(), version(blobs())
    model.pre_execution_hook(chosen, str(tmp_path), ExecutionModeKeys.TEST)
    model.train_model(chosen["dataloader"].get_train_input(mode=ExecutionModeKeys.TEST), 1)
    assert model.get_trained_step_count() == 1
    assert model.evaluate_model(chosen["dataloader"].get_test_input(), 1)["accuracy"] in (0.0, 1.0)


def test_progress_ends_with_all_steps_done(tmp_path: Path, told: list[Report]) -> None:
    model = new()
    run(model, version(blobs()), tmp_path)
    step, total, metrics = told[-1]
    assert (step, total) == (13, 13)
    assert 0 < metrics["loss"] < 2
    assert 0 <= metrics["accuracy"] <= 1
    assert metrics["learning_rate"] == 0.05
    assert 0 < metrics["samples_per_second"] < 1e7


def test_progress_of_values_is_in_the_unit_of_the_data(tmp_path: Path, told: list[Report]) -> None:
    loader = line()
    # one step of the whole training part: its loss is the squared error of standardised targets
    run(new(), version(loader, batch_size=len(loader.get_train_input()), epoc_count=1), tmp_path)
    (metrics,) = (report[2] for report in told)
    one, zero = (loader.parts.targets.unscale(torch.tensor([[value]])) for value in (1.0, 0.0))
    assert metrics["rmse"] == pytest.approx(metrics["loss"] ** 0.5 * float(one - zero), rel=1e-4)
    assert 0 < metrics["mae"] < metrics["rmse"]


def test_scheduler_is_stepped_after_each_batch(tmp_path: Path) -> None:
    rates: list[float] = []

    class Halving(Linear):
        def scheduler(self, optimizer: Optimizer, version: Version, steps: int) -> LRScheduler:
            optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
            return ExponentialLR(optimizer, 0.5)

    run(new(Halving), version(blobs(), epoc_count=1, learning_rate=0.8), tmp_path)
    assert rates == pytest.approx([0.8, 0.4, 0.2, 0.1, 0.05])


@pytest.mark.parametrize(
    ("layers", "loader", "advice"),
    [
        ((nn.Linear(4, 3), nn.Softmax(dim=1)), "multiclass", "ends in a softmax"),
        (
            (nn.Linear(4, 3), nn.Softmax(dim=1), nn.Unflatten(1, (3, 1)), nn.Flatten()),
            "multiclass",
            "ends in a softmax",
        ),
        ((nn.Linear(4, 1), nn.Sigmoid()), "binary", "ends in a sigmoid"),
        ((nn.Linear(4, 1), nn.Flatten(0), nn.Sigmoid()), "binary", "ends in a sigmoid"),
    ],
)
def test_activation_that_the_loss_applies_as_well_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layers: tuple[nn.Module, ...], loader: str, advice: str
) -> None:
    three = ArrayLoader(rows(30, 4), np.arange(30) % 3, task="multiclass")
    run(building(*layers), version(blobs() if loader == "binary" else three), tmp_path)
    assert advice in capsys.readouterr().out


def test_sound_networks_get_no_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, loader in enumerate((blobs(), line(), ArrayLoader(rows(30, 4), np.arange(30) % 3, task="multiclass"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(new(), version(loader, epoc_count=3), folder)
    assert "WARNING" not in capsys.readouterr().out


def test_constant_outputs_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dead = nn.Linear(2, 4)
    nn.init.constant_(dead.bias, -1000.0)
    run(building(dead, nn.ReLU(), nn.Linear(4, 1)), version(line()), tmp_path)
    assert "learnt nothing but a constant" in capsys.readouterr().out


def test_diverged_training_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="training diverged; lower learning_rate"):
        run(new(), version(line(), learning_rate=1e10, epoc_count=30), tmp_path)


def test_outputs_of_the_wrong_shape_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"outputs of shape \[8, 3\] for targets of shape \[8, 1\]"):
        run(building(nn.Linear(4, 3)), version(blobs()), tmp_path)


def test_outputs_without_a_column_are_taken_as_one(tmp_path: Path) -> None:
    metrics = run(building(nn.Linear(4, 1), nn.Flatten(0)), version(blobs(200), epoc_count=5), tmp_path)
    assert metrics["accuracy"] > 0.85


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"device": "abacus"}, "device 'abacus' cannot be used"), ({"precision": "half"}, "precision must be one of")],
)
def test_unusable_parameters_are_named(tmp_path: Path, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ScriptError, match=message):
        new().pre_execution_hook(version(blobs(), **parameters), str(tmp_path))


def test_training_before_the_hook_is_a_clear_error() -> None:
    with pytest.raises(ScriptError, match="pre_execution_hook"):
        new().train_model([], 1)


def test_build_must_be_written_and_return_a_module(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="has no build"):
        TorchModel(Versions()).pre_execution_hook(version(blobs()), str(tmp_path))


class Pairs(DataLoader):
    """A loader of someone's own, which gives plain lists of batches."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def get_train_sample_count(self) -> int:
        return 24


def pairs(count: int = 3) -> list[tuple[Tensor, Tensor]]:
    inputs = torch.from_numpy(rows(8 * count, 4)).split(8)
    return [(part, (part.sum(1) > 0).long()) for part in inputs]


def test_any_iterable_of_pairs_is_trained_on_again_and_again(tmp_path: Path) -> None:
    model = building(nn.Linear(4, 1))
    model.pre_execution_hook(version(Pairs(pairs()), task="binary"), str(tmp_path))
    model.train_model(pairs(), 50)
    assert model.get_trained_step_count() == 50
    assert model.evaluate_model(lambda: pairs(), 24)["accuracy"] > 0.8
    assert model.predict(rows(5, 4)).shape == (5,)


def test_generator_that_is_used_up_is_a_clear_error(tmp_path: Path) -> None:
    model = building(nn.Linear(4, 1))
    model.pre_execution_hook(version(Pairs(pairs()), task="binary"), str(tmp_path))
    with pytest.raises(DataError, match="no batch after 3 of 9 steps"):
        model.train_model(iter(pairs()), 9)


def test_unknown_task_asks_for_a_loss(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"write loss\(self, version\)"):
        building(nn.Linear(4, 1)).pre_execution_hook(version(Pairs(pairs())), str(tmp_path))


def test_loss_of_the_script_alone_is_measured_without_a_task(tmp_path: Path) -> None:
    model = building(nn.Linear(4, 2), loss=nn.CrossEntropyLoss())
    model.pre_execution_hook(version(Pairs(pairs())), str(tmp_path))
    model.train_model(pairs(), 5)
    assert set(model.evaluate_model(pairs(), 24)) == {"loss"}


@pytest.mark.parametrize("make", [blobs, line])
def test_predictions_of_the_test_part_are_kept_where_the_version_wants_them(make: Any, tmp_path: Path) -> None:
    loader, model = make(), new()
    model._artifacts_folder = tmp_path / "artifacts"
    chosen = version(loader, keep_predictions=True)
    run(model, chosen, tmp_path)
    score = model.evaluate_model(loader.get_test_input(), len(loader.get_test_input()))
    model.evaluate_model(loader.get_train_input(), 5)
    kept = pd.read_csv(tmp_path / "artifacts" / "test.predictions.csv")
    assert len(kept) == len(loader.get_test_input())
    if "accuracy" in score:
        assert (kept.truth == kept.prediction).mean() == pytest.approx(score["accuracy"])
    else:
        assert ((kept.truth - kept.prediction) ** 2).mean() ** 0.5 == pytest.approx(score["rmse"], rel=1e-4)
        assert kept.truth.mean() > 1000
