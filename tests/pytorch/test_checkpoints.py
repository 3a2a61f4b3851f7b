from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mlpipeline.errors import DataError, ModelDirError
from mlpipeline.pytorch.checkpoints import BETWEEN, CHECKPOINT, CheckpointFolder, _write_over
from mlpipeline.pytorch.packing import Contents, Packer, unpack

CONTENTS = Contents(
    {"step": 3, "rate": 0.1, "none": None, "flags": [True, False], "pair": (1, float("inf")), "keys": {0: {"a": 1}}},
    {
        "momentum": torch.arange(6.0).reshape(2, 3),
        "count": torch.tensor(4.0),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "empty": torch.zeros(0, 4),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
    },
)


def pack(contents: Contents) -> bytes:
    return Packer().pack(contents)


def state(step: int, size: int = 1000) -> Contents:
    return Contents({"step": step}, {"weights": torch.full((size,), float(step))})


def step_in(folder: Path) -> int | None:
    found, _ = CheckpointFolder(folder).read()
    return found.values["step"] if found else None


def test_contents_come_back_with_keys_kinds_and_bits() -> None:
    values, tensors = unpack(pack(CONTENTS))
    assert values == CONTENTS.values
    assert list(tensors) == list(CONTENTS.tensors)
    for name, tensor in CONTENTS.tensors.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_file_is_one_that_safetensors_reads(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(pack(CONTENTS))
    assert load_file(tmp_path / "x")["uint8"].tolist() == [0, 1, 2, 3, 4]


def test_tensors_may_change_their_shape_between_files() -> None:
    packer = Packer()
    for size in (3, 3, 5, 2):
        assert unpack(packer.pack(state(1, size))).tensors["weights"].shape == (size,)


def test_objects_are_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"cannot hold a \w*Path"):
        pack(Contents({"x": Path("y")}, {}))


@pytest.mark.parametrize("place", [0, 12, 400, -1])
def test_changed_byte_is_noticed(place: int) -> None:
    data = bytearray(pack(CONTENTS))
    data[place] ^= 0x55
    with pytest.raises(DataError):
        unpack(bytes(data))


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_torn_file_is_noticed(length: int) -> None:
    with pytest.raises(DataError):
        unpack(pack(CONTENTS)[:length])


def test_furthest_state_is_read(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step in range(1, 6):
        folder.write(state(step), last=False)
        assert step_in(tmp_path) == step


def test_kill_while_a_state_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step in range(1, 6):
        folder.write(state(step), last=False)
        newest = max(tmp_path.iterdir(), key=lambda path: unpack(path.read_bytes()).values["step"])
        whole = newest.read_bytes()
        newest.write_bytes(whole[: len(whole) // 2])
        assert step_in(tmp_path) == (step - 1 or None)
        newest.write_bytes(whole)


def test_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"rubbish")
    found, problems = CheckpointFolder(tmp_path).read()
    assert found is None
    assert str(tmp_path / CHECKPOINT) in problems[0]


def test_first_and_last_state_are_synced_and_only_the_last_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(descriptor), sync(descriptor)))
    folder = CheckpointFolder(tmp_path)
    for step in range(1, 6):
        folder.write(state(step), last=step == 5)
    assert len(synced) == 2
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_shorter_state_over_a_longer_one_is_whole(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step, size in enumerate([10, 1000, 1000, 10, 10], start=1):
        folder.write(state(step, size), last=False)
    assert step_in(tmp_path) == 5


def test_remove_leaves_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    folder = CheckpointFolder(tmp_path)
    for step in range(4):
        folder.write(state(step), last=False)
    folder.write_weights(torch.nn.Linear(2, 2))
    assert {*BETWEEN, CHECKPOINT} <= {path.name for path in tmp_path.iterdir()}
    folder.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_full_disk_is_a_clear_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full, on which every write fails as on a full disk")
    with pytest.raises(ModelDirError, match="No space left on device; free some space"):
        _write_over("/dev/full", b"data")


def test_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "in the way").touch()
    with pytest.raises(ModelDirError, match=r"cannot write .*in the way"):
        CheckpointFolder(tmp_path / "in the way").write(state(1), last=True)
