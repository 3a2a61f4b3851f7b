"""The checkpoint of a run: whatever moment it is killed at, a whole one is there."""

from __future__ import annotations

import os
import time
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

from mlpipeline.errors import DataError, ModelDirError
from mlpipeline.files import replace_file
from mlpipeline.pytorch.packing import Contents, Packer, unpack

# Written aside, synced and moved: safe from a power cut, too. This takes 0.3 to 20 ms, and an epoch on a
# small table takes one, so it is done at most once a second, and at the end.
CHECKPOINT = "checkpoint.safetensors"
_SECONDS_BETWEEN_SYNCS = 1.0

# The epochs between are written to these two in turn, which takes 0.005 ms: never over the newest, so that
# a kill leaves one whole, and the checksum tells which. A power cut may cost them, a second of training.
BETWEEN = ("checkpoint-0.safetensors", "checkpoint-1.safetensors")

WEIGHTS = "weights.safetensors"


class CheckpointFolder:
    """The checkpoint files in a model directory.

    Args:
        folder: the model directory; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._packer = Packer()
        self._synced_at = float("-inf")
        self._between_paths = [str(folder / name) for name in BETWEEN]

    def write(self, state: Contents, *, last: bool) -> None:
        """Keep the state, whose values have its `step` among them; the last one of a training alone remains.

        Raises: ModelDirError: the disk is full, or the folder not writable.
        """
        data = self._packer.pack(state)
        if not last and time.monotonic() - self._synced_at < _SECONDS_BETWEEN_SYNCS:
            self._between_paths.reverse()
            _write_over(self._between_paths[0], data)
            return
        _write_aside(self.folder / CHECKPOINT, data)
        # counted from the end, so that a slow disk does not sync all the time
        self._synced_at = time.monotonic()
        if last:
            _remove(self.folder, BETWEEN)

    def read(self) -> tuple[Contents | None, list[str]]:
        """Return the state that got furthest, if any is whole, and what is wrong with files that are not."""
        states, problems = [], []
        for name in (CHECKPOINT, *BETWEEN):
            try:
                states.append(unpack((self.folder / name).read_bytes()))
            except FileNotFoundError:
                continue
            except DataError as error:
                problems.append(f"{self.folder / name} is {error}")
        return max(states, key=lambda state: int(state.values["step"]), default=None), problems

    def write_weights(self, network: nn.Module) -> None:
        """Keep the weights alone, as safetensors under the names of the network's parameters.

        Raises: ModelDirError: the disk is full, or the folder not writable.
        """
        aside = self.folder / (WEIGHTS + ".tmp")
        try:
            save_model(network, str(aside))
            _sync(aside)
            os.replace(aside, self.folder / WEIGHTS)
        except OSError as error:
            raise _cannot_write(self.folder / WEIGHTS, error) from error

    def read_weights(self, network: nn.Module) -> None:
        """Give a network the weights that `write_weights` has kept.

        Raises: ModelDirError: they are not there, or are those of another network.
        """
        path = self.folder / WEIGHTS
        if not path.is_file():
            raise ModelDirError(f"there are no weights at {path}; name the model directory of a run that has succeeded")
        try:
            load_model(network, str(path))
        except (RuntimeError, SafetensorError) as error:
            raise ModelDirError(f"{path} does not fit the network that build(version) returns: {error}") from error

    def remove_states(self) -> None:
        """Remove the states, so that one of other work, which got further, cannot hide those that come."""
        _remove(self.folder, (CHECKPOINT, f".{CHECKPOINT}.tmp", *BETWEEN))

    def remove(self) -> None:
        """Remove all that this class writes, and nothing else."""
        self.remove_states()
        _remove(self.folder, (WEIGHTS, WEIGHTS + ".tmp"))


def _remove(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _write_over(path: str, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            _write_all(descriptor, data)
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _write_aside(path: Path, data: bytes) -> None:
    try:
        replace_file(path, data, synced=True)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _write_all(descriptor: int, data: bytes) -> None:
    # one call writes 2 GiB at most, and less where the disk is filling up
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path: str | Path, error: OSError) -> ModelDirError:
    return ModelDirError(f"cannot write {path}: {error.strerror}; free some space, or move outputs_dir in mlp.config")
