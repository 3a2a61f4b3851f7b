"""All members at once come to what each would come to alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import nn
from torch.nn import functional

from mlpipeline.ensemble import Bags, Ensemble, Folds, TorchTrainer

X, Y = load_digits(return_X_y=True)
X, Y = (X[:203] / 16).astype(np.float32), Y[:203]  # folds of unequal size
ROWS, VALUES = load_diabetes(return_X_y=True)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 10))


def normalized() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 10))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.2), nn.Linear(27, 10),
    )  # fmt: skip


def wide() -> nn.Module:
    """Channels in whole blocks, which are convolved in groups."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Dropout(0.2), nn.AvgPool2d(2),
        nn.Conv2d(16, 16, 3, groups=2), nn.BatchNorm2d(16), nn.GELU(), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip


class Residual(nn.Module):
    """What only torch.func can batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.dropout = nn.Linear(64, 8), nn.LayerNorm(8), nn.Dropout(0.2)
        self.inner, self.last = nn.Linear(8, 8), nn.Linear(8, 10)

    def forward(self, rows):
        hidden = torch.tanh(self.first(rows))
        return self.last(self.dropout(self.norm(hidden + torch.tanh(self.inner(hidden)))))


class Drawing(Residual):
    """Draws where nobody can see it."""

    def forward(self, rows):
        return self.last(functional.dropout(torch.tanh(self.first(rows)), 0.2, self.training))


def both(build, plan=None, rows=X, y=Y, *, optimizer=None, patience=None, epochs=4, **options):
    trainer = TorchTrainer(build, epochs=epochs, batch_size=32, optimizer=optimizer, patience=patience)
    options = {"seed": 2, **options}
    return [Ensemble(trainer, plan or Folds(4), together=at_once, **options).fit(rows, y) for at_once in (True, False)]


def check_equal(at_once, alone, caplog):
    assert "one after the other" not in caplog.text
    assert np.array_equal(np.isnan(at_once.oof), np.isnan(alone.oof))
    assert np.nanmax(np.abs(at_once.oof - alone.oof)) < 1e-5
    for one, other in zip(at_once.members, alone.members, strict=True):
        assert one.fitted.best_epoch == other.fitted.best_epoch
        for name, values in other.fitted.history.items():
            assert one.fitted.history[name] == pytest.approx(values, abs=2e-5)
        for name, weights in other.model.state_dict().items():
            assert torch.allclose(one.model.state_dict()[name], weights, atol=1e-5)


@pytest.mark.parametrize("build", [perceptron, normalized, convolutional, wide, Residual])
def test_networks_equal_those_trained_alone(build, caplog):
    check_equal(*both(build), caplog)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
        lambda p: torch.optim.RMSprop(p, lr=0.003),
        lambda p: torch.optim.Adam(p, lr=0.01),
        lambda p: torch.optim.Adagrad(p, lr=0.01),  # has a state before its first step
        lambda p: torch.optim.SGD([{"params": p[:2], "lr": 0.3}, {"params": p[2:]}], lr=0.1),
    ],
)
def test_optimizers_equal_those_of_one_network(optimizer, caplog):
    check_equal(*both(perceptron, optimizer=optimizer), caplog)


def test_members_that_stop_early_stop_where_they_would_alone(caplog):
    optimizer = lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.8)  # noqa: E731
    results = both(normalized, epochs=15, patience=2, stopping_size=0.2, optimizer=optimizer)
    check_equal(*results, caplog)
    lengths = {len(member.fitted.history["loss"]) for member in results[0].members}
    assert len(lengths) > 1  # some stopped, and the others went on


def test_bags_with_weights_of_rows_and_classes(caplog):
    check_equal(*both(normalized, Bags(4, 0.25), class_weight="balanced"), caplog)


def test_folds_with_another_number_of_steps(caplog):
    check_equal(*both(perceptron, [(np.arange(90), np.arange(90, 203)), (np.arange(140), np.arange(140, 203))]), caplog)


def test_values(caplog):
    at_once, alone = both(lambda: nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 1)), rows=ROWS, y=VALUES)
    assert "one after the other" not in caplog.text
    assert np.abs(at_once.oof - alone.oof).max() < 1e-5 * VALUES.std()


def test_rows_that_are_prepared_for_each_member(caplog):
    from sklearn.preprocessing import StandardScaler

    check_equal(*both(perceptron, preprocessing=StandardScaler()), caplog)


@pytest.mark.parametrize(
    ("build", "optimizer", "why"),
    [
        (Drawing, None, "random"),
        (perceptron, lambda p: torch.optim.Adafactor(p), "Adafactor"),
        (perceptron, lambda p: torch.optim.SGD([each for each in p if each.ndim == 2], 0.1), "by their shape"),
    ],
)
def test_what_cannot_be_batched_is_trained_one_after_the_other_and_says_why(build, optimizer, why, caplog):
    at_once, alone = both(build, optimizer=optimizer, epochs=2)
    assert np.array_equal(at_once.oof, alone.oof)
    assert "one after the other" in caplog.text
    assert why in caplog.text


def test_a_network_that_comes_to_something_else_is_found_in_the_first_step(caplog, monkeypatch):
    from mlpipeline.ensemble.together import training

    monkeypatch.setattr(training, "first_difference", lambda *_: "last.weight")
    both(perceptron, epochs=1)
    assert "in a first step, last.weight differed" in caplog.text


def test_large_networks_are_trained_one_after_the_other_unless_it_is_insisted_on(caplog):
    caplog.set_level("INFO")
    trainer = TorchTrainer(lambda: nn.Sequential(nn.Linear(64, 1200), nn.ReLU(), nn.Linear(1200, 10)), epochs=1)
    for together in (None, True):
        Ensemble(trainer, 2, together=together).fit(X, Y)
    assert [
        record.getMessage().count("large enough alone") for record in caplog.records if "at once" in record.msg
    ] == [1]


def test_convolutions_outside_a_chain_are_trained_one_after_the_other(caplog):
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = convolutional()

        def forward(self, rows):
            return self.inner(rows)

    caplog.set_level("INFO")
    Ensemble(TorchTrainer(Wrapped, epochs=1), 2).fit(X, Y)
    assert "in no plain chain" in caplog.text
