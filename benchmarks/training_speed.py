"""How fast `TorchModel` trains, beside the loops of tutorials, in the same process and at equal results.

Usage: python -m benchmarks.training_speed [--quick]

The ratios are those of medians. The time of `TorchModel` holds all that it does besides: a checkpoint
after each epoch, the weights at the end. On these tables an epoch takes a millisecond, of which the
checkpoint is a quarter; so both are measured with and without.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks.model_quality import MNIST, PROJECT, Outcome, script, spread, train_and_evaluate
from benchmarks.table import print_table
from mlpipeline.pytorch import ImageLoader, TableLoader, TensorLoader, TorchModel
from mlpipeline.utils import Version, Versions

EPOCHS, BATCH, RATE, MOMENTUM = 100, 32, 0.01, 0.9


def perceptron(loader: TensorLoader) -> nn.Module:
    """Return the tutorials' network for tables: two hidden layers of 10 and 8 units."""
    return nn.Sequential(
        nn.Linear(loader.feature_count, 10), nn.ReLU(), nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, loader.output_count)
    )


class Perceptron(TorchModel):
    """The same network and parameters as in the plain loops; all else is the default."""

    def build(self, version: Version) -> nn.Module:
        return perceptron(version["dataloader"])


class WithoutCheckpoints(Perceptron):
    """The same, but keeping nothing: the training alone, as a plain loop does it."""

    def _keep(self, step: int, is_last: bool) -> None:
        pass


class RowsOfArrays(Dataset[Any]):
    """The tutorials' data set: it returns a row and its target from NumPy arrays."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs, self.targets = inputs.numpy(), targets.numpy()

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> list[Any]:
        return [self.inputs[index], self.targets[index]]


class Measured(Perceptron):
    """A network that was trained elsewhere, to be measured as `TorchModel` measures its own."""

    trained: nn.Module

    def build(self, version: Version) -> nn.Module:
        return self.trained


def plain_loop(
    loader: TensorLoader, make_dataset: Callable[[Tensor, Tensor], Dataset[Any]], seed: int, folder: str | None = None
) -> Outcome:
    """Train through torch's own DataLoader, as tutorials do, on inputs that are scaled as for `TorchModel`.

    Args:
        folder: where a checkpoint is saved after each epoch, the plain way; None for none.
    """
    torch.manual_seed(seed)
    part, network, loss = loader.get_train_input(), perceptron(loader), loader.task.make_loss()
    batches = DataLoader(make_dataset(part.inputs, part.targets), batch_size=BATCH, shuffle=True)
    optimizer = SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)
    start = time.perf_counter()
    for _ in range(EPOCHS):
        for inputs, targets in batches:
            optimizer.zero_grad()
            loss(network(inputs), targets).backward()
            optimizer.step()
        if folder:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}
            torch.save(state, os.path.join(folder, "checkpoint.pt"))
    seconds = time.perf_counter() - start
    return Outcome(measure(network, loader), seconds)


def measure(network: nn.Module, loader: TensorLoader) -> dict[str, float]:
    model = Measured(Versions())
    model.trained = network
    model.pre_execution_hook(tutorial_version(loader), "", "Test")
    return model.evaluate_model(loader.get_test_input(), loader.get_test_sample_count())


def tutorial_version(loader: TensorLoader) -> Version:
    return Versions(dataloader=loader, batch_size=BATCH, epoc_count=EPOCHS, learning_rate=RATE).add("tutorial")


def table_rows(name: str, repeats: int, folder: str) -> list[list[str]]:
    """Measure one table; the ways take turns, so that a change of the machine's pace meets all."""
    loader = TableLoader(f"data/{name}.csv", header=False)
    version, none = tutorial_version(loader), Versions()
    ways: dict[str, Callable[[int], Outcome]] = {
        "DataLoader, tutorial's data set": lambda seed: plain_loop(loader, RowsOfArrays, seed),
        "DataLoader, TensorDataset": lambda seed: plain_loop(loader, TensorDataset, seed),
        "the same with torch.save per epoch": lambda seed: plain_loop(loader, TensorDataset, seed, folder),
        "TorchModel without its checkpoints": lambda seed: train_and_evaluate(WithoutCheckpoints(none), version, seed),
        "TorchModel": lambda seed: train_and_evaluate(Perceptron(none), version, seed),
    }
    threads = torch.get_num_threads()
    outcomes: dict[str, list[Outcome]] = {way: [] for way in ways}
    for seed in range(repeats + 1):
        for way, train in ways.items():
            torch.set_num_threads(threads)
            outcome = train(seed)
            if seed > 0:  # the first turn only warms up
                outcomes[way].append(outcome)
    torch.set_num_threads(threads)
    ours = statistics.median(outcome.seconds for outcome in outcomes["TorchModel"])
    rows = []
    for way, listed in outcomes.items():
        seconds = statistics.median(outcome.seconds for outcome in listed)
        score = spread(outcome.score for outcome in listed)
        rows.append([name, way, f"{1000 * seconds / EPOCHS:.2f}", f"{seconds / ours:.2f}", score])
    return rows


def tutorial_cnn() -> nn.Module:
    """Return the tutorial's network for MNIST, with the softmax that its loss applies once more."""
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(5 * 5 * 32, 100), nn.ReLU(), nn.Linear(100, 10), nn.Softmax(dim=1),
    )  # fmt: skip
    for layer in network:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    return network


def tutorial_mnist_epochs(epochs: int) -> tuple[list[float], float]:
    """Return the seconds of each epoch of the plain loop, and its accuracy on the test part."""
    from torchvision import datasets
    from torchvision.transforms import Compose, Normalize, ToTensor

    transform = Compose([ToTensor(), Normalize((0.1307,), (0.3081,))])
    train, test = (
        DataLoader(datasets.MNIST(str(MNIST), train=part, transform=transform), batch_size=size, shuffle=part)
        for part, size in ((True, 64), (False, 1024))
    )
    torch.manual_seed(0)
    network, loss = tutorial_cnn(), nn.CrossEntropyLoss()
    optimizer = SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        for inputs, targets in train:
            optimizer.zero_grad()
            loss(network(inputs), targets).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    with torch.no_grad():
        right = [(network(inputs).argmax(1) == targets).float() for inputs, targets in test]
    return seconds, float(torch.cat(right).mean())


def mnist_rows(quick: bool) -> list[list[str]]:
    """Measure the tutorial's ten epochs and the shipped model's three, for one or three seeds."""
    plain, plain_accuracy = tutorial_mnist_epochs(1 if quick else 10)
    ten_epochs = 10 * statistics.median(plain)
    module = script("cnn_mnist")
    version = module.MODEL.versions.get("three-epochs").replacing(dataloader=ImageLoader("MNIST", MNIST))
    outcomes = [train_and_evaluate(module.MODEL, version, seed) for seed in range(1 if quick else 3)]
    ours = statistics.median(outcome.seconds for outcome in outcomes)
    epochs = version["epoc_count"]
    accuracy = f"{plain_accuracy:.4f} after {len(plain)}"
    return [
        ["tutorial's loop", f"{ten_epochs / 10:.2f}", f"{ten_epochs:.1f} (10 epochs)", accuracy],
        ["cnn_mnist", f"{ours / epochs:.2f}", f"{ours:.1f} ({epochs} epochs)", spread(o.score for o in outcomes)],
        ["ratio", f"{ten_epochs / 10 / (ours / epochs):.2f}", f"{ten_epochs / ours:.1f}", ""],
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer repeats, one epoch of the tutorial's MNIST loop")
    quick = parser.parse_args().quick
    os.chdir(PROJECT)
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        tables = ("ionosphere", "iris", "housing")
        rows = [row for name in tables for row in table_rows(name, 3 if quick else 9, folder)]
    header = ["table", "way", "ms per epoch", "times TorchModel's", "score on the test part"]
    print_table(f"{EPOCHS} epochs on tables, batches of {BATCH}", header, rows)
    if (MNIST / "MNIST" / "raw").exists():
        print_table("MNIST", ["way", "seconds per epoch", "seconds in all", "accuracy"], mnist_rows(quick))
    else:
        print(f"\nMNIST was left out: it is not in {MNIST}; set MNIST_FOLDER.")


if __name__ == "__main__":
    main()
