"""Evaluation of the test part every few epochs of a training, which goes on as if nothing had been done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlpipeline.errors import VersionError
from mlpipeline.metrics import MetricContainer
from mlpipeline.model import Model
from mlpipeline.pytorch.random_states import RandomStates
from mlpipeline.pytorch.training import Learner
from mlpipeline.versions import Version, version_parameters

EVALUATION_EPOCHS = "evaluation_epochs"


def epoch_evaluation(
    model: Model, version: Version, learner: Learner, first_step: int, last_step: int
) -> EpochEvaluation | None:
    """Return what evaluates during a training of the model, from and to a step; None where the version wants none.

    Raises: VersionError: the number of epochs that it names is none.
    """
    every, loader = version.get(EVALUATION_EPOCHS), version[version_parameters.DATALOADER]
    if every is None:
        return None
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise VersionError(
            f"version {version.name!r}: {EVALUATION_EPOCHS} must be a whole number above 0, but got {every!r}"
        )
    return EpochEvaluation(
        every,
        first_step * int(version[version_parameters.BATCH_SIZE]) // max(1, loader.get_train_sample_count()),
        learner,
        lambda: model.evaluate_model(loader.get_test_input(), loader.get_test_sample_count()),
        lambda step, metrics: model.report(step, last_step, **metrics),
    )


@dataclass
class EpochEvaluation:
    """Counts epochs, and evaluates at the end of every few.

    Args:
        every: how many.
        epoch: how many have ended before.
        learner: is trained.
        evaluate: evaluates the test part.
        report: takes a step and metrics by name.
    """

    every: int
    epoch: int
    learner: Learner
    evaluate: Callable[[], Any]
    report: Callable[[int, Mapping[str, float]], None]

    def __call__(self, step: int) -> None:
        """Take in the end of an epoch after so many batches."""
        self.epoch += 1
        if self.epoch % self.every:
            return
        advise, self.learner.advise = self.learner.advise, _keep_quiet  # the last evaluation says what is to be said
        numbers, words = RandomStates().capture()
        try:
            answer = self.evaluate()
        finally:
            self.learner.advise = advise
            self.learner.network.train()
            RandomStates.restore(numbers, words)
        metrics = answer.averages() if isinstance(answer, MetricContainer) else answer
        if isinstance(metrics, Mapping):
            self.report(step, {f"test.{name}": value for name, value in metrics.items()})


def _keep_quiet(advice: str) -> None:
    pass
