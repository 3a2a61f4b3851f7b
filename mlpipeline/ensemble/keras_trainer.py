"""KerasTrainer: Keras 3 models as members of an ensemble.

KerasTrainer.fit
    built_model         by the user's function, compiled; or a copy of a fitted one
    encoded             y as its loss wants it
    member_callbacks    copies of the user's, with files of their own
    model.fit           Keras's own, on batches in the order that the seed alone decides
    Recording           history, best weights by rows held back, the epoch that the model ends with
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlpipeline.ensemble.keras_batches import Batches, Change, as_dataset, as_readable, read_inputs, reading_size
from mlpipeline.ensemble.keras_callbacks import Callbacks, member_callbacks
from mlpipeline.ensemble.keras_loss import as_probabilities, encoded
from mlpipeline.ensemble.keras_recording import Recording, as_callback
from mlpipeline.ensemble.keras_setup import keras_module, own_random_state
from mlpipeline.ensemble.observations import Part, count_rows
from mlpipeline.ensemble.trainer import Assignment, Fitted
from mlpipeline.errors import EnsembleError

if TYPE_CHECKING:
    from mlpipeline.ensemble.augmentation import Augmentation, Trio

_ADVICE = (
    "decorate your own layers, losses and functions with @keras.saving.register_keras_serializable() and import "
    "them before loading"
)


@dataclass(frozen=True, eq=False)
class KerasTrainer:
    """Trains Keras models, each by `model.fit`.

    A member's validation rows are for its curves alone. What chooses by `val_loss` (early stopping, checkpoints of
    the best epoch) sees rows held back from its training rows, `Ensemble(stopping_size=0.1)`; without such rows it
    is refused. In the history they are `stop_loss`.

    Small models are trained all at once: of at most 400,000 weights, on one array in memory, without callbacks and
    augmentation. A step is compared with Keras's own first.

    Args:
        build: a function of the parameters that returns a new, compiled `keras.Model`; where its loss says
            from_logits=True, predictions are turned into probabilities.
        params: what `build` is given; None to call it without.
        epochs: passes over the training rows. batch_size: rows in a step.
        callbacks: Keras callbacks, copied for each member, whose name is put into their file names; or a function
            that returns them, given the member's name if it takes an argument.
        patience: epochs without a better loss of the rows held back before training ends; None for no end.
        train_augmentation, valid_augmentation, test_augmentation: of images; see `read_augmentation`.
        test_passes: augmented copies of each test row, over which predictions are averaged.
        shuffle: give each epoch an order of its own.
        verbose: show each epoch.
    Raises: EnsembleError: an argument cannot be used.
    """

    build: Callable[..., Any]
    params: Mapping[str, Any] | None = None
    epochs: int = field(default=10, kw_only=True)
    batch_size: int = field(default=32, kw_only=True)
    callbacks: Callbacks = field(default=None, kw_only=True)
    patience: int | None = field(default=None, kw_only=True)
    train_augmentation: Any = field(default=None, kw_only=True)
    valid_augmentation: Any = field(default=None, kw_only=True)
    test_augmentation: Any = field(default=None, kw_only=True)
    test_passes: int = field(default=1, kw_only=True)
    shuffle: bool = field(default=True, kw_only=True)
    verbose: bool = field(default=False, compare=False, kw_only=True)  # says nothing about how it is trained
    suffix: str = field(default=".keras", init=False)
    accepts_missing: bool = field(default=False, init=False)
    task: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not callable(self.build) or hasattr(self.build, "predict"):  # a model can be called too
            raise EnsembleError(f"build must be a function that returns a compiled model, but got {self.build!r:.80}")
        if self.params is not None and not isinstance(self.params, Mapping):
            raise EnsembleError(f"params must be a dict of what build asks for, but got {self.params!r:.80}")
        for name in ("epochs", "batch_size", "patience", "test_passes"):
            number = getattr(self, name)
            is_count = isinstance(number, Integral) and not isinstance(number, bool) and int(number) > 0
            if not is_count and (name != "patience" or number is not None):
                raise EnsembleError(f"{name} must be a whole number from 1, but got {number!r:.80}")

    def fit(self, assignment: Assignment) -> Fitted:
        """Train one member.

        Raises: EnsembleError: the model, its loss, the callbacks and the rows do not fit together.
        """
        self._check_patience(assignment)
        with own_random_state(assignment.seed):
            model = self.built_model(assignment)
            statistics = self._statistics(assignment)
            train = self._batches(assignment, assignment.train, model, self._change("train", statistics))
            others = [
                None if part is None else self._batches(assignment, part, model, self._change("valid", statistics))
                for part in (assignment.stopping, assignment.valid)
            ]
            seen, valid = (others[0], others[1]) if others[0] is not None else (others[1], None)
            own = [] if assignment.is_trial else member_callbacks(self.callbacks, assignment)
            restores = any(getattr(callback, "restore_best_weights", False) for callback in own)
            epochs = 1 if assignment.is_trial else self.epochs
            recording = Recording(assignment, train, valid, epochs, not restores, self.patience, self.verbose)
            model.fit(
                as_dataset(train), validation_data=None if seen is None else as_dataset(seen), epochs=epochs,
                shuffle=False, callbacks=[*own, as_callback(recording)], verbose=0,
            )  # fmt: skip
            best_epoch = recording.finish(model)
        return Fitted(model, recording.history, best_epoch, statistics)

    def fit_together(self, assignments: Sequence[Assignment], forced: bool = False) -> list[Fitted] | None:
        """Train all members at once; None where these cannot be, with a message that says why.

        Args:
            assignments: one each. forced: at once even where it does not pay.
        """
        from mlpipeline.ensemble.keras_together import fit_together

        for assignment in assignments:
            self._check_patience(assignment)
        return fit_together(self, assignments, forced)

    def predict(self, fitted: Fitted, X: Any, *, seed: int = 0, is_test: bool = False) -> NDArray[np.float32]:
        """Return probabilities or values, float32[n, outputs], in the order of the rows.

        Raises: EnsembleError: the model gives no row of numbers for each row.
        """
        source = as_readable(X)
        change = self._change("test" if is_test else "valid", fitted.statistics)
        passes = self.test_passes if is_test and self._trio.test.is_random else 1
        batches = Batches(
            source, np.arange(count_rows(source)), reading_size(source, self.batch_size), seed, change=change
        )
        with own_random_state(seed):
            predictions = [_predicted(fitted.model, replace(batches, epoch=number)) for number in range(passes)]
        return np.asarray(np.mean(predictions, axis=0, dtype=np.float64), dtype=np.float32)

    def save(self, fitted: Fitted, path: Path) -> None:
        """Write the model with its optimizer, aside and then into place."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.stem}.tmp{self.suffix}")
        try:
            fitted.model.save(aside)
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise

    def load(self, path: Path) -> Any:
        """Read a model that `save` wrote; nothing in the file is executed.

        Raises: EnsembleError: the file is missing, damaged, or needs classes that Keras does not know.
        """
        if not path.is_file():
            raise EnsembleError(f"{path} does not exist")
        try:
            with own_random_state(0):
                return keras_module().saving.load_model(path, safe_mode=True)
        except Exception as error:  # Keras raises whatever zip, JSON, HDF5 or a layer raises
            reason = str(error).strip().partition("\n")[0]
            raise EnsembleError(
                f"{path} cannot be loaded as a Keras model: it is damaged or holds what Keras does not know "
                f"({type(error).__name__}: {reason:.200}); {_ADVICE}, or train again"
            ) from error

    def built_model(self, assignment: Assignment) -> Any:
        """Return a new compiled model, or a copy of the fitted one to go on from.

        Raises: EnsembleError: `build` returns something else.
        """
        return self.new_model() if assignment.initial is None else self._copied(assignment.initial)

    def new_model(self) -> Any:
        """Return what `build` makes: a new compiled model. Raises: EnsembleError: it is something else."""
        try:
            model = self.build() if self.params is None else self.build(_own(self.params))
        except KeyError as error:
            given = ", ".join(map(str, self.params or {})) or "none"
            raise EnsembleError(
                f"build() asks for {error}, which is no parameter; given are {given}; add it to params"
            ) from error
        return _checked_model(model)

    def _copied(self, fitted: Fitted) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"model{self.suffix}")
            self.save(fitted, path)
            return self.load(path)

    def _batches(self, assignment: Assignment, part: Part, model: Any, change: Change | None) -> Batches:
        assert part.y is not None
        is_train = part is assignment.train
        source = as_readable(part.source)
        rows = np.arange(count_rows(source)) if part.rows is None else np.asarray(part.rows)
        return Batches(
            source, rows, self.batch_size if is_train else reading_size(source, self.batch_size), assignment.seed,
            encoded(model, assignment.targets, part.y), part.weights, self.shuffle and is_train, change,
            limit=1 if assignment.is_trial else None,
        )  # fmt: skip

    def _check_patience(self, assignment: Assignment) -> None:
        if self.patience is not None and assignment.stopping is None and not assignment.is_trial:
            raise EnsembleError(
                f"patience={self.patience} needs rows to tell when to stop by, but {assignment.name} holds none back; "
                "set stopping_size=0.1"
            )

    @cached_property
    def _trio(self) -> Trio:
        from mlpipeline.ensemble.augmentation import read_trio

        return read_trio(self.train_augmentation, self.valid_augmentation, self.test_augmentation, "channels_last")

    @property
    def augments(self) -> bool:
        """Whether images are changed before the model sees them."""
        return any(
            each is not None for each in (self.train_augmentation, self.valid_augmentation, self.test_augmentation)
        )

    def _statistics(self, assignment: Assignment) -> dict[str, NDArray[Any]]:
        """Return what the augmentation has to know of the member's own training images."""
        trio = self._trio
        if not trio.needs_statistics:
            return {}
        train = assignment.train
        rows = np.arange(len(train)) if train.rows is None else np.asarray(train.rows)
        from mlpipeline.ensemble.augmentation.reading import sampled

        chosen = sampled(len(rows), assignment.seed)
        return trio.fit(read_inputs(as_readable(train.source), np.sort(rows[chosen])))

    def _change(self, kind: str, statistics: Mapping[str, NDArray[Any]]) -> Change | None:
        """Return what is done to a batch of inputs; None for nothing."""
        if not self.augments:
            return None
        augmentation: Augmentation = getattr(self._trio, kind)

        def change(images: Any, generator: torch.Generator) -> Any:
            if isinstance(images, dict):
                raise EnsembleError("augmentation needs one array of images, but X holds arrays by name")
            return augmentation(torch.from_numpy(np.asarray(images, dtype=np.float32)), statistics, generator)

        return change


def _own(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return parameters that `build` may change without changing those of the next member."""
    if not isinstance(params, dict):  # a version, which cannot be changed
        return params
    return {
        name: copy.deepcopy(value) if isinstance(value, dict | list | set) else value for name, value in params.items()
    }


def _checked_model(model: Any) -> Any:
    """Raises: EnsembleError: it is no compiled model, or one that was returned before."""
    keras = keras_module()
    if not isinstance(model, keras.Model):
        raise EnsembleError(f"build() must return a compiled keras.Model, but returned {model!r:.80}")
    if not getattr(model, "compiled", False):
        raise EnsembleError("build() returned a model that is not compiled; call model.compile(optimizer, loss)")
    if getattr(model, "_is_a_member", False):
        raise EnsembleError("build() returned the same model twice; build a new one in each call")
    model._is_a_member = True
    return model


def _predicted(model: Any, batches: Batches) -> NDArray[Any]:
    """Return one pass of predictions, float[n, outputs]."""
    model.eval()  # a layer of torch inside would drop out
    outputs = [_outputs(model, batches[index][0]) for index in range(len(batches))]
    return as_probabilities(model, np.concatenate(outputs))


def _outputs(model: Any, inputs: Any) -> NDArray[Any]:
    outputs = model.predict_on_batch(inputs)
    if not isinstance(outputs, np.ndarray) or outputs.ndim not in (1, 2):
        shape = getattr(outputs, "shape", None)
        raise EnsembleError(
            "a member's model must give one row of numbers for each row, but gives "
            + (f"the shape {shape}" if shape is not None else f"{len(outputs)} outputs")
        )
    return outputs.reshape(len(outputs), -1)
