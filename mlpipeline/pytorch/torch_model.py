"""TorchModel: a model script writes the network, the life cycle around it is here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mlpipeline.errors import ScriptError
from mlpipeline.model import DataLoader, Model
from mlpipeline.pytorch.advice import Loss
from mlpipeline.pytorch.batches import Batch, Rows, Stretch, end_row, shuffled_batches
from mlpipeline.pytorch.checkpoints import CheckpointFolder
from mlpipeline.pytorch.description import describe, first_difference
from mlpipeline.pytorch.epoch_evaluation import epoch_evaluation
from mlpipeline.pytorch.evaluation import batch_scores, evaluate, ordered_batches
from mlpipeline.pytorch.kept_predictions import KEEP_PREDICTIONS, predicted_and_true
from mlpipeline.pytorch.loading import TensorLoader
from mlpipeline.pytorch.packing import Contents
from mlpipeline.pytorch.placement import choose_placement, limit_threads
from mlpipeline.pytorch.random_states import RandomStates
from mlpipeline.pytorch.resuming import restore_training, restore_weights, training_state
from mlpipeline.pytorch.tasks import Task, task_named
from mlpipeline.pytorch.training import Learner, Plan, Trained, repeated_batches, train
from mlpipeline.versions import ExecutionModeKeys, Version, Versions

_EVALUATION_BATCH = 1024


@dataclass
class _Run:
    """What a run works with, from `pre_execution_hook` on."""

    version: Version
    loader: Any
    learner: Learner
    checkpoints: CheckpointFolder
    description: str
    seed: int
    saved: Contents | None
    trained_steps: int
    generators: RandomStates


class TorchModel(Model):
    """A torch network as a model of the pipeline. A script writes `build`, and what it wants else.

    It reports loss, metrics of the batch, learning rate and throughput (`samples_per_second`) by itself, a few times a
    second.

    A run that is interrupted goes on from its last epoch, to the same weights bit for bit on one
    thread; a run that starts afresh removes the checkpoint of an earlier one.

    Parameters of a version that are read here, all optional: `learning_rate`, `momentum`, `weight_decay` (of the
    default optimizer), `device`, `precision` (see `choose_placement`), `seed` (of the order of the rows), `task`
    (where the loader is not of this package), `evaluation_epochs` (so often the test part is evaluated in training,
    and reported as `test.accuracy` and so on: for curves, and for a search that prunes), `keep_predictions` (keep those
    of the test part with the run, for reports; with a loader of this package).

    Args:
        versions: the sets of parameters.
        allow_delete_model_dir: a run that starts afresh removes the checkpoint and weights in its directory.
        reset_steps: always train all steps, on top of what a checkpoint holds.
    """

    allow_delete_model_dir = True
    _reports_training_part = True
    _run: _Run | None = None

    def __init__(self, versions: Versions, allow_delete_model_dir: bool = True, reset_steps: bool = False) -> None:
        super().__init__(versions, allow_delete_model_dir, reset_steps)

    def build(self, version: Version) -> nn.Module:
        """Return a new network; `version["dataloader"]` knows `feature_count`, `input_shape` and `output_count`.

        For classes the network returns logits: [n, 1] for two, [n, classes] for more. For a
        regression it returns [n, values], standardised as the targets of the training part are.
        """
        raise ScriptError(f"{type(self).__name__} has no build(self, version); write it")

    def loss(self, version: Version) -> Loss:
        """Return the loss, a function of outputs and targets; the task's own unless written."""
        task = self._task(version)
        if task is None:
            raise ScriptError(
                f"{type(self).__name__} does not know its task: write loss(self, version), or give the version "
                "task='binary', 'multiclass' or 'regression'"
            )
        return task.make_loss()

    def optimizer(self, parameters: list[nn.Parameter], version: Version) -> Optimizer:
        """Return the optimizer; stochastic gradient descent with momentum 0.9 unless written."""
        return SGD(
            parameters,
            lr=_given(version, "learning_rate", 0.01),
            momentum=_given(version, "momentum", 0.9),
            weight_decay=_given(version, "weight_decay", 0.0),
            fused=all(parameter.device.type in ("cpu", "cuda") for parameter in parameters),
        )

    def scheduler(self, optimizer: Optimizer, version: Version, steps: int) -> LRScheduler | None:
        """Return what changes the learning rate after each batch, for so many steps in all; None for nothing."""
        return None

    def pre_execution_hook(self, version: Version, model_dir: str, exec_mode: str = ExecutionModeKeys.TEST) -> None:
        """Build the network and all that trains it; go back to the checkpoint, if there is one of this version.

        Raises: ScriptError: what the script built cannot be used.
        """
        loader = version["dataloader"]
        seed = int(_given(version, "seed", torch.initial_seed()))
        learner = self._learner(version, loader)
        uses_scheduler = type(self).scheduler is not TorchModel.scheduler
        description = describe(version, learner.network, learner.optimizer, ends_matter=uses_scheduler)
        checkpoints = CheckpointFolder(Path(model_dir))
        saved = self._usable(checkpoints, description)
        self._run = _Run(version, loader, learner, checkpoints, description, seed, saved, 0, RandomStates())
        if saved:
            restore_weights(learner, saved)
            self._run.trained_steps, self._run.seed = saved.values["step"], saved.values["seed"]
            self.log(f"going on from step {saved.values['step']}")

    def get_trained_step_count(self) -> int:
        """Return how many batches the checkpoint has seen."""
        return self._run.trained_steps if self._run else 0

    def clean_model_dir(self, model_dir: str) -> None:
        """Remove the checkpoint and the weights of an earlier run."""
        CheckpointFolder(Path(model_dir)).remove()

    def train_model(self, input_fn: Any, steps: int) -> None:
        """Train for `steps` batches, with a checkpoint after each epoch; write the weights at the end.

        Args:
            input_fn: the `Rows` of a loader of this package, or anything that gives pairs of
                inputs and targets and can be iterated again, as torch's own `DataLoader`; or a
                function without arguments that returns one of these.
            steps: batches.
        """
        run = self._current()
        source = input_fn() if callable(input_fn) else input_fn
        first, last = run.trained_steps, run.trained_steps + steps
        run.learner.scheduler = self.scheduler(run.learner.optimizer, run.version, last)
        if run.saved:
            restore_training(run.learner, run.saved)
            run.saved = None
        if first == 0:
            run.checkpoints.remove_states()
        evaluation = epoch_evaluation(self, run.version, run.learner, first, last)
        plan = Plan(first, last, self._keep, self._report_stretch, evaluation)
        train(run.learner, self._batches(source, first, last), plan)

    def evaluate_model(self, input_fn: Any, steps: int) -> dict[str, float]:
        """Return the metrics over the first `steps` rows: `loss`; `accuracy`, or `rmse` and `mae`.

        Args:
            input_fn: as for `train_model`. steps: rows.
        """
        run = self._current()
        source = input_fn() if callable(input_fn) else input_fn
        if run.version.get(KEEP_PREDICTIONS) and self._artifacts_folder and self._is_test_part(source):
            predicted, true = predicted_and_true(run.learner, run.loader, ordered_batches(source.head(steps)))
            self.save_predictions(true, predicted)
        return evaluate(run.learner, ordered_batches(source), self._unscale(), steps)

    def predict(self, rows: Any) -> NDArray[Any]:
        """Return the labels, or the values, that the network predicts.

        Args:
            rows: as they were before scaling: a data frame, an array, lists of rows, or one row.
        Returns: labels [n], or values [n] or [n, k].
        Raises: DataError: the rows do not have the columns or the shape of the training data.
        """
        outputs, run = self._outputs(rows), self._current()
        task = run.learner.task
        decided = task.probabilities(outputs) if task else outputs
        if isinstance(run.loader, TensorLoader):
            return run.loader.decode(decided)
        return (decided.argmax(dim=1) if task and task.has_classes else decided).numpy()

    def load(self, version: str, model_dir: str | Path) -> Self:
        """Get ready to predict with the weights that a finished run has left; return the model.

        Args:
            version: its name.
            model_dir: of the run, as `outputs/model_ckpts/<script>-<version>`.
        Raises: VersionError: there is no such version. ModelDirError: there are no weights, or of another network.
        """
        chosen = self.versions.get(version)
        loader = chosen["dataloader"]
        loader = loader if isinstance(loader, DataLoader) or not callable(loader) else loader()
        chosen = chosen.replacing(dataloader=loader)
        learner, checkpoints = self._learner(chosen, loader), CheckpointFolder(Path(model_dir))
        checkpoints.read_weights(learner.network)
        self._run = _Run(chosen, loader, learner, checkpoints, "", 0, None, 1, RandomStates())
        return self

    def probabilities(self, rows: Any) -> NDArray[np.float32]:
        """Return the probability of each class, float[n, classes] in the order of the loader's `classes`.

        Raises: ScriptError: the model does not predict classes.
        """
        task = self._current().learner.task
        if task is None or not task.has_classes:
            raise ScriptError(f"{type(self).__name__} does not predict classes; use predict(rows)")
        return task.probabilities(self._outputs(rows)).numpy()

    def _outputs(self, rows: Any) -> Tensor:
        run = self._current()
        if not run.trained_steps:
            self._warn(
                "predicting with a network that has neither been trained nor loaded; see load(version, model_dir)"
            )
        is_known = isinstance(run.loader, TensorLoader)
        inputs = run.loader.encode(rows) if is_known else torch.as_tensor(np.asarray(rows, dtype=np.float32))
        run.learner.network.eval()
        with torch.no_grad():
            place = run.learner.placement.inputs
            parts = [run.learner.outputs(place(part)).cpu() for part in torch.split(inputs, _EVALUATION_BATCH)]
        return torch.cat(parts)

    def _is_test_part(self, source: Any) -> bool:
        loader = self._current().loader
        return isinstance(loader, TensorLoader) and source is loader.parts.test

    def _unscale(self) -> Callable[[Tensor], Tensor]:
        """Return what brings outputs and targets into the unit of the data."""
        loader = self._current().loader
        return loader.parts.targets.unscale if isinstance(loader, TensorLoader) else _unchanged

    def _task(self, version: Version) -> Task | None:
        loader, name = version["dataloader"], version.get("task")
        if isinstance(loader, TensorLoader):
            return loader.task
        return task_named(name) if name is not None else None

    def _learner(self, version: Version, loader: Any) -> Learner:
        network = self.build(version)
        if not isinstance(network, nn.Module):
            raise ScriptError(f"build(version) must return a torch.nn.Module, but returned {type(network).__name__}")
        rank = len(loader.input_shape) + 1 if isinstance(loader, TensorLoader) else 2
        placement = choose_placement(version, rank)
        network = placement.place(network)
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimizer = self.optimizer(parameters, version)
        loss = self.loss(version)
        if isinstance(loss, nn.Module):
            loss = loss.to(placement.device)
        return Learner(network, loss, optimizer, placement, self._task(version), self._warn)

    def _usable(self, checkpoints: CheckpointFolder, description: str) -> Contents | None:
        saved, problems = checkpoints.read()
        for problem in problems:
            self._warn(f"{problem}: it is not used")
        difference = first_difference(saved.values["description"], description) if saved else None
        if difference:
            self._warn(f"the checkpoint in {checkpoints.folder} is of other work ({difference}): starting afresh")
            return None
        return saved

    def _batches(self, source: Any, first: int, last: int) -> Iterator[Batch]:
        run = self._current()
        if not isinstance(source, Rows):
            return map(run.learner.placed, repeated_batches(source, last - first))
        size, placement = int(run.version["batch_size"]), run.learner.placement
        limit_threads(placement, run.learner.network, source.inputs[:size])
        rows = placement.rows(source)
        stretch = Stretch(size, run.seed, first * size, end_row(len(rows), size, run.version["epoc_count"], last))
        batches = shuffled_batches(rows, stretch)
        return batches if placement.is_met_by(rows) else map(run.learner.placed, batches)

    def _keep(self, step: int, is_last: bool) -> None:
        run = self._current()
        if is_last:
            # before the checkpoint: a kill between the two trains the last epoch again and writes both
            run.checkpoints.write_weights(run.learner.network)
        position = {"step": step, "seed": run.seed, "description": run.description}
        run.checkpoints.write(training_state(run.learner, run.generators, position), last=is_last)
        run.trained_steps = step

    def _report_stretch(self, step: int, total: int, stretch: Trained) -> None:
        learner = self._current().learner
        scores = batch_scores(learner.task, stretch.outputs.detach(), stretch.targets, self._unscale())
        rates = {
            "learning_rate": float(learner.optimizer.param_groups[0]["lr"]),
            "samples_per_second": stretch.rows / stretch.seconds if stretch.seconds else 0.0,
        }
        self.report(step, total, **{"loss": stretch.loss, **scores, **rates})

    def _warn(self, advice: str) -> None:
        self.log(advice, level=logging.WARNING)

    def _current(self) -> _Run:
        if self._run is None:
            raise ScriptError(
                f"{type(self).__name__} has not been prepared: pre_execution_hook(version, model_dir) comes first; "
                "a script that overrides it must call super().pre_execution_hook(...)"
            )
        return self._run


def _given(version: Version, name: str, default: Any) -> Any:
    value = version.get(name)
    return default if value is None else value


def _unchanged(outputs: Tensor) -> Tensor:
    return outputs
