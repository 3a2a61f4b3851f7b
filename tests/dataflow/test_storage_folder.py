"""The files of a folder: maps, damage, leftovers, and how an earlier write becomes current."""

import json
import os
import resource
import shutil
import time

import numpy as np
import pytest

from mlpipeline.dataflow.storage import folder_entries, folder_files, open_storage
from mlpipeline.errors import StorageError


@pytest.fixture
def stored(tmp_path):
    """Give a storage with one write, in a folder of its own."""
    storage = open_storage(tmp_path, "p", 1)
    storage.write(range(4), {"y": np.arange(8.0).reshape(4, 2)}, key="k")
    return storage


def only_write(storage):
    (folder,) = (storage.folder / "writes").iterdir()
    return folder


@pytest.mark.parametrize("columns", [2, 50_000])  # a small file is read, a large one is mapped
def test_what_a_find_or_a_read_gives_may_be_changed_and_the_file_stays(tmp_path, columns):
    storage, values = open_storage(tmp_path, "p", 1), np.ones((4, columns))
    storage.write(range(4), {"y": values}, key="k")
    for use in (
        lambda: storage.find("k", range(4)),
        storage.read,
        lambda: storage.read([0, 1]),
        lambda: storage.read(0),
    ):
        for _ in range(2):
            found = use()["y"]
            assert (found == 1).all()
            found[0] = 7
    assert (open_storage(tmp_path, "p", 1).read()["y"] == 1).all()


def test_a_find_of_a_large_write_maps_the_file(tmp_path):
    storage = open_storage(tmp_path, "p", 1)
    storage.write(range(4), {"y": np.zeros((4, 50_000))}, key="k")
    found = storage.find("k", range(4))["y"]
    with (only_write(storage) / "0.npy").open("r+b") as file:
        file.seek(-8, 2)
        file.write(np.float64(77).tobytes())
    assert found[3, -1] == 77  # the file itself, no copy


def test_a_file_that_cannot_be_read_is_not_called_damaged(stored, tmp_path):
    path = only_write(stored) / "0.npy"
    path.unlink()
    path.mkdir()
    for rows in (None, 1):
        with pytest.raises(StorageError, match=r"cannot read .*Is a directory") as caught:
            open_storage(tmp_path, "p", 1).read(rows)
        assert "delete" not in str(caught.value)


def test_reading_many_writes_needs_few_file_descriptors(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_files, "_MAPPED", 0)
    monkeypatch.setattr(folder_entries, "_TIDIED_EVERY", 10**9)
    storage = open_storage(tmp_path, "p", 1)
    for number in range(400):
        storage.write([number], {"y": np.array([number])})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 200, limits[1]))
    try:
        for _ in range(2):
            np.testing.assert_array_equal(storage.read()["y"], np.arange(400))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_the_folder_has_the_name_and_version(stored, tmp_path):
    assert [path.name for path in tmp_path.iterdir()] == ["p-1"]


@pytest.mark.parametrize("file", ["0.npy", "ids.npy", "manifest.json"])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\x93" * len(b), None])
def test_a_damaged_file_is_named(stored, tmp_path, file, damage):
    path = only_write(stored) / file
    content = path.read_bytes()
    path.unlink()
    if damage:
        path.write_bytes(damage(content))
    storage = open_storage(tmp_path, "p", 1)
    for use in (lambda: storage.read([1]), storage.read, lambda: storage.read(1), lambda: storage.find("k", range(4))):
        with pytest.raises(StorageError, match=f"{file} is (damaged|missing).*delete the folder"):
            use()


def test_overwriting_repairs_a_damaged_folder(stored, tmp_path):
    (only_write(stored) / "manifest.json").write_text("{")
    with pytest.raises(StorageError, match="damaged"):
        open_storage(tmp_path, "p", 1).write([5], {"y": np.ones((1, 2))})
    repaired = open_storage(tmp_path, "p", 1, overwrite=True)
    repaired.write([5], {"y": np.ones((1, 2))})
    repaired.write([6], {"y": np.ones((1, 2))})
    assert open_storage(tmp_path, "p", 1).ids().tolist() == [5, 6]
    assert len(list((stored.folder / "writes").iterdir())) == 2


@pytest.mark.parametrize(
    "manifest",
    [[], 7, {"format": 1}, {"format": 1, "recalls": "x"}, {"format": "1"}, None],
)
def test_a_manifest_of_another_shape_is_damage(stored, tmp_path, manifest):
    (only_write(stored) / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StorageError, match=r"manifest.json is damaged"):
        open_storage(tmp_path, "p", 1).read()


def test_a_newer_format_is_said(stored, tmp_path):
    path = only_write(stored) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(StorageError, match=r"manifest.json was written by a newer version"):
        open_storage(tmp_path, "p", 1).read()


def test_objects_in_a_file_are_never_unpickled(stored, tmp_path):
    path = only_write(stored) / "0.npy"
    np.save(path, np.array([[print, 1]] * 4, object), allow_pickle=True)
    manifest = path.with_name("manifest.json")
    for dtype in ("<f8", "|O"):
        manifest.write_text(manifest.read_text().replace("<f8", dtype))
        with pytest.raises(StorageError, match="is damaged"):
            open_storage(tmp_path, "p", 1).read()


def test_what_a_killed_write_left_is_cleared_by_the_next(stored):
    aside = stored.folder / "aside"
    aside.mkdir()
    (aside / "ids.npy").write_bytes(b"half")
    stored.write([9], {"y": np.ones((1, 2))})
    assert len(stored) == 5
    assert sorted(path.name for path in stored.folder.iterdir()) in (["lock", "writes"], ["writes"])


def test_overwriting_frees_the_space_of_what_it_replaces(stored, tmp_path):
    stored.write([9], {"y": np.ones((1, 2))})
    open_storage(tmp_path, "p", 1, overwrite=True).write([5], {"y": np.ones((1, 2))})
    assert stored.ids().tolist() == [5]
    assert only_write(stored).name.startswith("000000000003-")


def test_finding_two_writes_in_turn_makes_each_current_and_leaves_few_files(stored):
    other = np.full((4, 2), 9.0)
    stored.write(range(4), {"y": other}, key="other")
    expected = {"k": np.arange(8.0).reshape(4, 2), "other": other}
    for turn in range(10):
        key = ("k", "other")[turn % 2]
        np.testing.assert_array_equal(stored.find(key, range(4))["y"], expected[key])
        for storage in (stored, open_storage(stored.folder.parent, "p", 1)):
            np.testing.assert_array_equal(storage.read([2, 0])["y"], expected[key][[2, 0]])
            np.testing.assert_array_equal(storage.read(2)["y"], expected[key][[2]])
    assert len(list((stored.folder / "writes").iterdir())) <= 4
    assert [run.key for run in stored.runs()] == ["k", "other"]


def test_a_find_of_the_current_write_writes_nothing(stored):
    before = sorted((stored.folder / "writes").iterdir())
    stored.find("k", range(4))
    assert sorted((stored.folder / "writes").iterdir()) == before


def test_arrays_stay_valid_when_their_write_is_replaced(stored, tmp_path):
    found = stored.find("k", range(4))["y"]
    open_storage(tmp_path, "p", 1, overwrite=True).write([5], {"y": np.ones((1, 2))})
    np.testing.assert_array_equal(found, np.arange(8.0).reshape(4, 2))


def test_a_folder_that_was_deleted_and_written_anew_is_read_anew(stored):
    assert stored.read(1)["y"].tolist() == [[2.0, 3.0]]
    shutil.rmtree(stored.folder)
    stored.write(range(4), {"y": np.full((4, 2), 7.0)}, key="k")
    assert stored.read(1)["y"].tolist() == [[7.0, 7.0]]
    assert (stored.find("k", range(4))["y"] == 7).all()


def test_changes_within_one_tick_of_the_file_systems_clock_are_seen(stored, tmp_path):
    tick = time.time_ns() + 10**10
    for value in range(5):  # each write adds a folder and deletes one, so that only their names tell
        open_storage(tmp_path, "p", 1, overwrite=True).write([0], {"y": np.array([value])})
        os.utime(stored.folder / "writes", ns=(tick, tick))
        assert stored.read(0)["y"].tolist() == stored.read()["y"].tolist() == [value]


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "p-1").write_text("")
    with pytest.raises(StorageError, match=r"cannot write to .*p-1"):
        open_storage(tmp_path, "p", 1).write([1], {"y": [1]})
