"""Torch networks as members: seeds, losses by task, stopping, files, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_iris
from torch import nn

from mlpipeline.ensemble import Bags, Ensemble, StratifiedFolds, TorchTrainer
from mlpipeline.errors import EnsembleError

X, Y = load_iris(return_X_y=True)
X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)
ROWS, VALUES = load_diabetes(return_X_y=True)


def network(outputs: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, outputs))


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.05)


TRAINER = TorchTrainer(network, epochs=4, optimizer=adam)


def fitted(trainer=TRAINER, X=X, y=Y, plan=3, **options):  # noqa: N803
    return Ensemble(trainer, plan, together=False, **options).fit(X, y)


def test_a_seed_decides_weights_order_and_dropout_and_nothing_outside_is_drawn_from():
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, again, other = (fitted(seed=seed).oof for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_members_on_the_same_rows_begin_with_other_weights():
    rows = np.arange(100), np.arange(100, 150)
    one, two = fitted(plan=[rows, rows]).members
    assert not np.allclose(one.valid, two.valid)


def test_classes_get_probabilities_and_two_classes_may_have_one_output():
    many = fitted().oof
    assert many.shape == (150, 3)
    assert np.allclose(many.sum(axis=1), 1, atol=1e-6)
    two = fitted(TorchTrainer(network, 1, epochs=8, optimizer=adam), X[50:], Y[50:] == 2)
    assert two.oof.shape == (100, 1)
    assert two.oof_scores["accuracy"] > 0.85


def test_values_come_back_in_their_own_unit():
    linear = TorchTrainer(lambda: nn.Linear(10, 1), epochs=40, optimizer=adam)
    result = fitted(linear, ROWS, VALUES, metrics="r2")
    assert abs(result.oof.mean() - VALUES.mean()) < 15
    assert result.scores["r2"].mean > 0.4


def test_the_loss_that_is_reported_is_that_of_the_predictions():
    (member,) = fitted(replace(TRAINER, epochs=3), plan=Bags(1), metrics="log_loss").members
    assert member.scores["log_loss"] == pytest.approx(member.fitted.history["val_loss"][-1], rel=1e-5)
    assert member.fitted.best_epoch == 3


def test_the_weights_are_those_of_the_best_epoch_by_rows_held_back():
    wild = replace(TRAINER, epochs=30, optimizer=lambda p: torch.optim.SGD(p, lr=2.0), patience=4)
    (member,) = fitted(wild, plan=Bags(1), stopping_size=0.2, metrics="log_loss").members
    history, best = member.fitted.history, member.fitted.best_epoch
    assert best == 1 + int(np.argmin(history["stop_loss"]))
    assert len(history["loss"]) == min(30, best + 4)
    assert member.scores["log_loss"] == pytest.approx(history["val_loss"][best - 1], rel=1e-5)


def test_weights_of_rows_are_those_of_copies_of_rows():
    still = TorchTrainer(lambda: nn.Linear(4, 3), epochs=3, batch_size=1000, optimizer=adam)
    rows, valid = np.arange(0, 140), np.arange(140, 150)
    twice = np.concatenate([rows, rows[:50]])
    weights = np.where(np.arange(150) < 50, 2.0, 1.0)
    weighted = Ensemble(still, [(rows, valid)], seed=1).fit(X, Y, weights=weights)
    copied = Ensemble(still, [(twice, valid)], seed=1).fit(X, Y)
    assert np.allclose(weighted.oof[valid], copied.oof[valid], atol=1e-5)


def test_files_hold_the_weights_and_nothing_else(tmp_path):
    result = fitted(run_save_name="nets", src_dir=tmp_path, save_history=False, save_statistics=False)
    folder = tmp_path / "checkpoints" / "nets"
    loaded = TRAINER.load(folder / "nets_fold0.safetensors")
    for name, tensor in result.models[0].state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    path = folder / "nets_fold1.safetensors"
    with pytest.raises(EnsembleError, match="does not fit the network"):
        TorchTrainer(network, 5).load(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EnsembleError, match="is damaged"):
        TRAINER.load(path)


def test_a_scheduler_is_stepped_after_each_batch():
    rates = []

    def scheduler(optimizer, steps):
        assert steps == 4 * 4  # 100 rows by 32, and four epochs
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rates.append(step) or 1.0)

    fitted(replace(TRAINER, scheduler=scheduler), plan=[(np.arange(100), np.arange(100, 150))])
    assert rates[-1] == 16


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        (TorchTrainer(lambda: nn.Linear(5, 3)), r"cannot take inputs of the shape \[2, 4\]"),
        (TorchTrainer(lambda: nn.Linear(4, 2)), "3 classes"),
        (TorchTrainer(lambda: 5), r"must return a torch\.nn\.Module, but returned int"),
        (replace(TRAINER, patience=2), r"stopping_size=0\.1"),
        (replace(TRAINER, device="moon"), "moon"),
    ],
)
def test_what_cannot_be_trained_is_refused(trainer, message):
    with pytest.raises(EnsembleError, match=message):
        fitted(trainer, plan=StratifiedFolds(3))


def test_training_that_diverges_names_member_and_epoch():
    wild = TorchTrainer(lambda: nn.Linear(4, 1), epochs=60, optimizer=lambda p: torch.optim.SGD(p, lr=10.0))
    with pytest.raises(EnsembleError, match=r"fold0: the loss became .* lower the learning rate"):
        fitted(wild, y=X[:, 0] * 3.0)


def test_lazy_layers_learn_their_shapes_from_the_rows_and_are_loaded_again(tmp_path):
    lazy = TorchTrainer(lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3)), epochs=1)
    model = fitted(lazy).members[0].fitted
    lazy.save(model, tmp_path / "lazy.safetensors")
    assert torch.equal(lazy.load(tmp_path / "lazy.safetensors")[0].weight, model.model[0].weight)


def test_a_last_batch_of_one_row_joins_the_one_before_it():
    normalized = TorchTrainer(lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)), epochs=1)
    (member,) = fitted(normalized, plan=[(np.arange(65), np.arange(65, 150))]).members
    assert member.model[0].num_batches_tracked == 2


@pytest.mark.parametrize("build", [nn.Linear(4, 3), "network", None])
def test_build_is_a_function(build):
    with pytest.raises(EnsembleError, match="build must be a function"):
        TorchTrainer(build)


def test_one_network_for_all_members_is_refused():
    shared = network()
    with pytest.raises(EnsembleError, match="same network twice"):
        fitted(TorchTrainer(lambda: shared))
