"""Model and DataLoader: the two classes that a model script extends."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlpipeline import artifacts
from mlpipeline.errors import MetricError, ScriptError
from mlpipeline.reporting import tell
from mlpipeline.scripting import log
from mlpipeline.versions import ExecutionModeKeys, Version, Versions


class _Summary:
    """What models and data loaders share: lines for the readable output, and a log."""

    # class attributes, so that a subclass whose __init__ does not call super() works all the same
    summery: str | None = None
    _agent = "script"

    @property
    def summary(self) -> str | None:
        """What was added with `add_to_summary`, or None."""
        return self.summery

    def add_to_summary(self, content: object) -> None:
        """Add a line to the summary that the outputs file shows for each run."""
        self.summery = f"{self.summery or ''}{content}\n"

    def add_to_summery(self, content: object) -> None:
        """Add a line to the summary; the older spelling of `add_to_summary`."""
        self.add_to_summary(content)

    def log(
        self,
        message: object,
        level: int = logging.INFO,
        log_to_file: bool = False,
        agent: str | None = None,
        **modifiers: str | None,
    ) -> None:
        """Write a line to the run's output; with `log_to_file` to the log of the outputs directory too."""
        text = f"{agent}: {message}" if agent else str(message)
        log(text, level=level, log_to_file=log_to_file, agent=self._agent, **modifiers)


class Model(_Summary):
    """A model that the pipeline trains and evaluates. A script holds one in its global `MODEL`.

    Only `train_model` and `evaluate_model` must be written.

    Args:
        versions: the sets of parameters to run it with.
        allow_delete_model_dir: call `clean_model_dir` before a run that starts from the beginning.
        reset_steps: always train all steps, whatever `get_trained_step_count` says.

    Raises: ScriptError: `versions` is not a `Versions`.
    """

    allow_delete_model_dir = False
    reset_steps = False
    _agent = "Model"
    # a plain name that it reports, as `accuracy`, is of training rows; else it may be of any
    _reports_training_part = False
    _version: Version | None = None
    # set by the runner
    _source_digest = ""  # of the script and its modules
    _artifacts_folder: Path | None = None

    def __init__(self, versions: Versions, allow_delete_model_dir: bool = False, reset_steps: bool = False) -> None:
        if not isinstance(versions, Versions):
            raise ScriptError(f"versions must be an mlpipeline.utils.Versions, but got {type(versions).__name__}")
        self.versions = versions
        self.allow_delete_model_dir = allow_delete_model_dir
        self.reset_steps = reset_steps

    def pre_execution_hook(self, version: Version, model_dir: str, exec_mode: str = ExecutionModeKeys.TEST) -> None:
        """Prepare for a run: called once, before training.

        Args:
            version: the parameters of this run.
            model_dir: the folder in which this run may keep files; it exists.
            exec_mode: `ExecutionModeKeys.TRAIN` in execution mode, `TEST` in test mode.
        """

    def train_model(self, input_fn: Any, steps: int) -> Any:
        """Train for `steps` batches on what the data loader's `get_train_input` returned."""
        raise ScriptError(f"{type(self).__name__} has no train_model(self, input_fn, steps); write it")

    def evaluate_model(self, input_fn: Any, steps: int) -> Any:
        """Evaluate on `steps` samples of what the data loader returned.

        Called for the training data, then for the test data.
        Returns: None, a string, a mapping of metric names to numbers, or a `MetricContainer`.
        """
        raise ScriptError(f"{type(self).__name__} has no evaluate_model(self, input_fn, steps); write it")

    def get_current_version(self) -> Version | None:
        """Return the version of this run, or None before it has begun."""
        return self._version

    def get_trained_step_count(self) -> int | None:
        """Return how many batches an earlier, unfinished run has trained; they are not trained again."""
        return 0

    def clean_model_dir(self, model_dir: str) -> None:
        """Remove what an earlier run left in `model_dir`. Does nothing until a script writes it."""

    def report(self, step: int, total: int | None = None, **metrics: float) -> None:
        """Tell how far the work is, and the metrics at this moment; costs microseconds.

        Args:
            step: batches done.
            total: batches in all.
            **metrics: numbers by name.
        Raises: MetricError: a value is not a number.
        """
        numbers = {name: _number(name, value) for name, value in metrics.items()}
        tell(int(step), None if total is None else int(total), numbers)

    def save_figure(self, name: str, figure: Any) -> Path:
        """Keep a figure of Matplotlib, Plotly or Altair, or an image of Pillow, with this run; return the file.

        It lies in `artifacts/<run>/` of the model directory, and reports show it.

        Args:
            name: of the file, without its ending.
            figure: what to keep; Plotly's as JSON, the others as PNG.
        Raises: ScriptError: the name cannot be one of a file, or the figure is of another kind, or nothing runs.
        """
        return artifacts.save_figure(self._artifacts(), name, figure)

    def save_table(self, name: str, table: Any) -> Path:
        """Keep a data frame, or whatever pandas makes one of, with this run as CSV; return the file.

        Raises: ScriptError: the name cannot be one of a file, pandas makes no table of it, or nothing runs.
        """
        return artifacts.save_table(self._artifacts(), name, table)

    def save_predictions(self, y_true: Any, y_pred: Any, ids: Sequence[Any] | None = None, name: str = "test") -> Path:
        """Keep true values and predictions with this run; reports draw a confusion matrix or residuals of them.

        Args:
            y_true: labels or values [n], or values [n, k].
            y_pred: the same; or, for labels, probabilities [n, classes] in the order of the sorted labels.
            ids: of the observations; their numbers from 0 where None.
            name: tells several apart.
        Returns: the file, `artifacts/<run>/<name>.predictions.csv` in the model directory.
        Raises: ScriptError: the lengths or shapes do not fit, the name cannot be one of a file, or nothing runs.
        """
        return artifacts.save_predictions(self._artifacts(), y_true, y_pred, ids, name)

    def _artifacts(self) -> Path:
        if self._artifacts_folder is None:
            raise ScriptError("figures, tables and predictions are kept with a run, and this model is in none")
        return self._artifacts_folder


class DataLoader(_Summary):
    """A data set with a training and a test part, as the pipeline needs to know it."""

    _agent = "DataLoader"
    _arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def __new__(cls, *args: Any, **kwargs: Any) -> DataLoader:
        # kept so that a record can say how this object was made, whatever __init__ does with it
        if cls.__init__ is DataLoader.__init__ and kwargs:
            raise TypeError(f"{cls.__name__}() got an unexpected argument {next(iter(kwargs))!r}")
        loader = super().__new__(cls)
        loader._arguments = (args, kwargs)
        return loader

    def __init__(self, **kwargs: Any) -> None:
        pass  # a script may pass on what it was given

    def get_train_input(self, mode: str = ExecutionModeKeys.TRAIN, **kwargs: Any) -> Any:
        """Return what `train_model` gets (mode `TRAIN`), or `evaluate_model` for the training data (`TEST`)."""
        raise ScriptError(f"{type(self).__name__} has no get_train_input(self, mode); write it")

    def get_test_input(self, **kwargs: Any) -> Any:
        """Return what `evaluate_model` gets for the test data."""
        raise ScriptError(f"{type(self).__name__} has no get_test_input(self); write it")

    def get_train_sample_count(self) -> int:
        """Return the number of training samples, from which the number of steps follows."""
        raise ScriptError(f"{type(self).__name__} has no get_train_sample_count(self); write it")

    def get_test_sample_count(self) -> int:
        """Return the number of test samples."""
        raise ScriptError(f"{type(self).__name__} has no get_test_sample_count(self); write it")

    def get_dataloader_summary(self, **kwargs: Any) -> str | None:
        """Return what the outputs file says of the data; the lines added with `add_to_summary` unless written."""
        return self.summery

    def get_dataloader_summery(self, **kwargs: Any) -> str | None:
        """Return what the outputs file says of the data; the older spelling of `get_dataloader_summary`."""
        return self.get_dataloader_summary(**kwargs)


Dataloader = DataLoader


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise MetricError(f"report: {name} must be a number, but got {value!r}") from None
