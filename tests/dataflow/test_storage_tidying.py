"""Many writes to a folder: their files get few, and what is read stays the same."""

import itertools
import os
import threading

import numpy as np
import pytest

from mlpipeline.dataflow.storage import folder_entries, open_storage
from mlpipeline.dataflow.storage.folder_files import load_entry


@pytest.fixture
def storage(tmp_path):
    return open_storage(tmp_path, "p", 1)


def packs(storage):
    return sorted(path.name for path in (storage.folder / "writes").iterdir())


def anew(storage):
    return open_storage(storage.folder.parent, "p", 1)


def test_small_writes_come_to_share_files(storage):
    for number in range(300):
        storage.write([f"row {number}"], {"y": np.full((1, 4), number), "u": np.array(["u" * (number % 7)])})
    assert len(packs(storage)) < 40
    found = anew(storage).read()
    np.testing.assert_array_equal(found["y"][:, 0], np.arange(300))
    assert found["u"].tolist() == ["u" * (number % 7) for number in range(300)]
    assert sum(run.n for run in storage.runs()) == 300


def test_writes_with_a_key_are_found_in_shared_files(storage):
    for number in range(100):
        storage.write([2 * number, 2 * number + 1], {"y": np.full(2, number)}, key=str(number), parts={"at": number})
    before = packs(storage)
    assert len(before) < 40
    for number in range(100):
        assert anew(storage).find(str(number), [2 * number, 2 * number + 1])["y"].tolist() == [number] * 2
    assert [run.parts["at"] for run in storage.runs()] == list(range(100))
    assert packs(storage) == before


def test_of_replaced_writes_the_last_with_a_key_stay(storage):
    for number in range(128):
        storage.write([0, 1], {"y": np.full(2, number)}, key=str(number) if number % 2 else "")
    kept = [int(run.key) for run in storage.runs()]
    assert kept == list(range(127 - 2 * 16, 128, 2))
    assert storage.find("93", [0, 1]) is None
    assert storage.find("95", [0, 1])["y"].tolist() == anew(storage).read([0, 1])["y"].tolist() == [95, 95]


def test_a_large_write_that_was_replaced_is_deleted(storage, monkeypatch):
    monkeypatch.setattr(folder_entries, "_TIDIED_EVERY", 4)
    for number in range(8):
        storage.write([0, 1], {"y": np.full((2, 100_000), number)})
    assert len(packs(storage)) == 1
    assert (storage.read(1)["y"] == 7).all()


def test_the_order_of_the_first_writes_outlives_them(storage, monkeypatch):
    monkeypatch.setattr(folder_entries, "_TIDIED_EVERY", 4)
    storage.write([5, 3], {"y": np.zeros(2)})
    storage.write([9], {"y": np.zeros(1)}, key="between")
    for _ in range(2):
        storage.write([3], {"y": np.ones(1)})
    storage.write([5], {"y": np.ones(1)}, key="5")
    for number in range(40):
        storage.write([3], {"y": np.full(1, number)}, key=str(number))
    for each in (storage, anew(storage)):
        assert each.ids().tolist() == [5, 3, 9]
        assert each.read()["y"].tolist() == [1, 39, 0]


class Model:
    """What a storage should hold, in dicts."""

    def __init__(self):
        self.rows, self.by_key = {}, {}

    def write(self, ids, values, key):
        self.rows.update(zip(ids, values, strict=True))
        if key:
            self.by_key[key] = (ids, values)


@pytest.mark.parametrize("seed", range(4))
def test_tidied_or_not_the_same_is_read(storage, monkeypatch, seed):
    monkeypatch.setattr(folder_entries, "_TIDIED_EVERY", 3)
    random, model = np.random.default_rng(seed), Model()
    for turn in range(80):
        ids = random.permutation(12)[: random.integers(0, 5)].tolist()
        values = random.normal(size=len(ids)).tolist()
        key = str(random.integers(0, 30)) if random.random() < 0.4 else ""
        if model.by_key and random.random() < 0.3:
            key = random.choice(list(model.by_key))
            ids, values = model.by_key[key]
            found = storage.find(key, ids)
            if found is not None:
                assert found["y"].tolist() == values
                model.write(ids, values, key)
        else:
            as_text = np.array(list(map(str, values)), np.str_) if turn % 2 else np.array(values).astype("U32")
            storage.write(ids, {"y": np.array(values, float), "u": as_text}, key)
            model.write(ids, values, key)
        for each in (storage, anew(storage)) if model.rows else ():
            assert each.ids().tolist() == list(model.rows)
            assert each.read()["y"].tolist() == list(model.rows.values())
            assert each.read()["u"].tolist() == list(map(str, model.rows.values()))
            assert each.read(list(model.rows)[-1])["y"].tolist() == [list(model.rows.values())[-1]]
    assert len(packs(storage)) < 40


class Killed(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("step", range(2, 11))  # the first step puts the write in place
def test_a_kill_at_any_step_of_tidying_does_no_harm(storage, monkeypatch, step):
    monkeypatch.setattr(folder_entries, "_TIDIED_EVERY", 8)
    for number in range(7):
        storage.write([number, 100], {"y": np.full(2, number)}, key="a key" if number == 5 else "")
    steps = itertools.count(1)
    with monkeypatch.context() as patched:
        patched.setattr(folder_entries.os, "rename", lambda *names: killed_at(step, steps) or os.replace(*names))
        with pytest.raises(Killed):
            storage.write([7], {"y": np.full(1, 7)})
    for each in (storage, anew(storage)):
        assert each.ids().tolist() == [0, 100, 1, 2, 3, 4, 5, 6, 7]
        assert each.read()["y"].tolist() == [0, 6, 1, 2, 3, 4, 5, 6, 7]
        assert each.holds("a key", [5, 100])
    for number in range(8):
        storage.write([200 + number], {"y": np.full(1, number)})
    assert len(packs(storage)) < 8
    assert storage.read()["y"].tolist() == [0, 6, 1, 2, 3, 4, 5, 6, 7, *range(8)]


def killed_at(step, steps):
    if next(steps) == step:
        raise Killed


def test_files_that_move_while_a_reader_looks_are_found(storage, monkeypatch):
    monkeypatch.setattr(folder_entries, "_TIDIED_EVERY", 4)
    for number in range(3):
        storage.write([number], {"y": np.full(1, number)})
    writes = [lambda: storage.write([3], {"y": np.full(1, 3)})]

    def load_late(*arguments):
        if writes:
            writes.pop()()
        return load_entry(*arguments)

    monkeypatch.setattr(folder_entries, "load_entry", load_late)
    assert anew(storage).read()["y"].tolist() == [0, 1, 2, 3]
    assert len(packs(storage)) == 1


def test_readers_miss_nothing_while_files_are_put_together(storage, monkeypatch):
    monkeypatch.setattr(folder_entries, "_TIDIED_EVERY", 2)
    written, errors = [], []

    def look(reader):
        try:
            while len(written) < 40:
                n = len(written)
                assert (reader.read(range(n), missing="error")["y"] == np.arange(n)).all() if n else True
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=look, args=[each]) for each in (anew(storage), storage)]
    for thread in threads:
        thread.start()
    for number in range(40):
        storage.write([number], {"y": np.full(1, number)}, key=str(number) if number % 3 else "")
        written.append(number)
    for thread in threads:
        thread.join()
    assert not errors


def test_a_folder_that_cannot_be_tidied_is_written_all_the_same(storage, monkeypatch, caplog):
    monkeypatch.setattr(folder_entries, "_TIDIED_EVERY", 2)
    storage.write([1], {"y": np.ones(1)})
    (storage.folder / "writes" / packs(storage)[0] / "0.npy").write_bytes(b"")
    storage.write([2], {"y": np.ones(1)})
    assert "could not be tidied" in caplog.text
    assert storage.read(2)["y"] == 1
