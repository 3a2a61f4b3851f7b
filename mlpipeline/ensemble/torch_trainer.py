"""TorchTrainer: torch networks as members of an ensemble.

TorchTrainer.fit
    make_ready          the network, built under the member's seed, and its rows
    train_alone         all epochs
TorchTrainer.fit_together
    train_together      the same for all members, in one pass over the data per step
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_model
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mlpipeline.ensemble.observations import count_rows
from mlpipeline.ensemble.torch_inputs import Inputs, keeps_whole_numbers
from mlpipeline.ensemble.torch_loop import drawing_seed, train_alone
from mlpipeline.ensemble.torch_member import build_network, find_placement, forward, make_ready, prediction_change
from mlpipeline.ensemble.torch_objective import probabilities, scale_from
from mlpipeline.ensemble.torch_state import one_thread, seeded
from mlpipeline.ensemble.trainer import Assignment, Fitted
from mlpipeline.errors import EnsembleError

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from mlpipeline.ensemble.augmentation import Trio


@dataclass(frozen=True, eq=False)
class TorchTrainer:
    """Trains torch networks, in float32.

    The usual loss is chosen by what y says and by the network's outputs: one output for two classes gives a binary
    cross-entropy of logits, an output for each class a cross-entropy of logits, and values the mean squared error of
    values standardised by the member's training rows; predictions are given back in the unit of y.

    Args:
        build: a function of the parameters that returns a new `nn.Module`; for arrays by name, `forward` is given them
            by name. Whole numbers become floats unless the network has an embedding. Images are given as
            [n, channels, height, width].
        params: what `build` is given; None to call it without.
        task: "classes" or "values"; told by y if None.
        loss: of outputs and targets (int64[n] class numbers, float32[n, 1] of two classes for one output,
            float32[n, k] standardised values), the mean over the rows; the usual one if None.
        optimizer: a function of the list of parameters; AdamW with a learning rate of 0.001 if None.
        scheduler: a function of the optimizer and of the number of steps in all; stepped after each batch.
        epochs: passes over the training rows. batch_size: rows in a step.
        patience: epochs without a better loss of the rows held back before training ends; None for no end.
        train_augmentation, valid_augmentation, test_augmentation: of images; see `read_augmentation`.
        test_passes: augmented copies of each test row, over which predictions are averaged.
        device: "cpu", "cuda:1"; a GPU if there is one, if None.
    Raises: EnsembleError: an argument cannot be used.
    """

    build: Callable[..., nn.Module]
    params: Mapping[str, Any] | None = None
    _: KW_ONLY
    task: str | None = None
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    optimizer: Callable[[list[nn.Parameter]], Optimizer] | None = None
    scheduler: Callable[[Optimizer, int], LRScheduler] | None = None
    epochs: int = 10
    batch_size: int = 32
    patience: int | None = None
    train_augmentation: Any = None
    valid_augmentation: Any = None
    test_augmentation: Any = None
    test_passes: int = 1
    device: str | None = None
    suffix: str = field(default=".safetensors", init=False)
    accepts_missing: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        for name in ("build", "loss", "optimizer", "scheduler"):
            value = getattr(self, name)
            is_function = callable(value) and not (name == "build" and isinstance(value, nn.Module))
            if not is_function and (name == "build" or value is not None):
                raise EnsembleError(f"{name} must be a function, but got {value!r:.80}")
        for name in ("epochs", "batch_size", "patience", "test_passes"):
            number = getattr(self, name)
            is_count = isinstance(number, int) and not isinstance(number, bool) and number > 0
            if not is_count and (name != "patience" or number is not None):
                raise EnsembleError(f"{name} must be a whole number from 1, but got {number!r:.80}")

    @property
    def augments(self) -> bool:
        """Whether images are changed at all."""
        return any(
            each is not None for each in (self.train_augmentation, self.valid_augmentation, self.test_augmentation)
        )

    @cached_property
    def trio(self) -> Trio:
        """The augmentations of training, validation and test images."""
        from mlpipeline.ensemble.augmentation import read_trio

        return read_trio(self.train_augmentation, self.valid_augmentation, self.test_augmentation, "channels_first")

    def fit(self, assignment: Assignment) -> Fitted:
        """Train one member; each epoch sees its rows in the order of `epoch_order`.

        Raises: EnsembleError: network and rows do not fit together, or training diverged.
        """
        self.check_patience(assignment)
        with seeded(assignment.seed):
            member = make_ready(self, assignment)
            with one_thread(member.takes_small_steps(self.batch_size)):
                history, best_epoch = train_alone(self, member)
        return Fitted(member.finished(), history, best_epoch, member.statistics)

    def fit_together(self, assignments: Sequence[Assignment], forced: bool = False) -> list[Fitted] | None:
        """Train all members at once, each to what `fit` would give; None where these cannot be, or it does not pay.

        Args:
            assignments: one each. forced: at once even where it does not pay.
        Raises: EnsembleError: as `fit`.
        """
        from mlpipeline.ensemble.together import train_together

        for assignment in assignments:
            self.check_patience(assignment)
        return train_together(self, assignments, forced)

    def predict(self, fitted: Fitted, X: Any, *, seed: int = 0, is_test: bool = False) -> NDArray[Any]:
        """Return probabilities or values, float32[n, outputs], in the order of the rows.

        Raises: EnsembleError: the network cannot take these rows.
        """
        network, statistics = fitted.model.eval(), fitted.statistics
        inputs = Inputs(X, find_placement(self.device), keeps_whole_numbers(network))
        rows, scale = np.arange(count_rows(X)), scale_from(statistics)
        passes = self.test_passes if is_test and self.augments and self.trio.test.is_random else 1
        total = torch.zeros(())
        with seeded(seed), torch.no_grad():
            for number in range(passes):
                change = prediction_change(self, statistics, drawing_seed(seed, number), is_test)
                parts = [_outputs(network, batch) for batch in inputs.in_order(rows, change)]
                outputs = torch.cat(parts)
                found = probabilities(outputs) if scale is None else scale.unscale(outputs)
                total = total + (found.double() if passes > 1 else found)
        return (total / passes).float().cpu().numpy()

    def save(self, fitted: Fitted, path: Path) -> None:
        """Write the weights under the names of the network's parameters, aside and then into place."""
        aside = path.with_name(f".{path.name}.tmp")
        save_model(fitted.model, str(aside))
        os.replace(aside, path)

    def load(self, path: Path) -> nn.Module:
        """Build the network and give it the weights that `save` wrote.

        Raises: EnsembleError: the file is damaged, or of another network than `build` returns.
        """
        with seeded(0):
            network = build_network(self)
        try:
            if any(is_lazy(values) for values in (*network.parameters(), *network.buffers())):
                network.load_state_dict(load_file(str(path)))  # load_model asks for shapes, which are not known yet
            else:
                load_model(network, str(path))
        except FileNotFoundError:
            raise EnsembleError(f"there are no weights at {path}") from None
        except SafetensorError as error:
            raise EnsembleError(f"{path} is damaged ({error}); remove it to train this member again") from None
        except RuntimeError as error:
            raise EnsembleError(f"{path} does not fit the network that build returns: {error}") from None
        return find_placement(self.device).place(network).eval()

    def check_patience(self, assignment: Assignment) -> None:
        """Raises: EnsembleError: nothing was held back that training could be stopped by."""
        if self.patience is not None and assignment.stopping is None:
            raise EnsembleError(
                f"{assignment.name}: patience={self.patience} needs rows to stop by that are not the validation rows; "
                "hold some back with Ensemble(stopping_size=0.1)"
            )


def _outputs(network: nn.Module, batch: Any) -> Tensor:
    try:
        outputs = forward(network, batch)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise EnsembleError(f"the network cannot take these rows: {error}") from error
    return outputs if outputs.ndim > 1 else outputs.unsqueeze(1)
