"""A write is there whole or not at all, whoever is killed; and processes may write at once."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mlpipeline.dataflow.storage import open_storage

ROWS, BATCHES = 10_000, 6
ENDLESS_WRITER = f"""
import sys
import numpy as np
from mlpipeline.dataflow.storage import open_storage
storage, turn = open_storage(sys.argv[1], "p", 1), int(sys.argv[2])
while True:
    turn += 1
    values = np.full(({ROWS}, 50), turn)
    print(turn, flush=True)
    storage.write(range({ROWS}), {{"y": values, "z": values[:, 0]}}, key=str(turn))
"""
WRITER_THAT_DIES = f"""
import resource, signal, sys
import numpy as np
from mlpipeline.dataflow.storage import open_storage
storage = open_storage(sys.argv[1], "p", 1)
storage.write([0, 1], {{"y": np.zeros((2, 50))}}, key="small")
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the system ends the process at this byte of a file
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
storage.write(range({ROWS}), {{"y": np.ones(({ROWS}, 50)), "z": np.ones({ROWS})}})
"""
WRITER_OF_ROWS = """
import sys
import numpy as np
from mlpipeline.dataflow.storage import folder_entries, open_storage
folder_entries._TIDIED_EVERY = 2
storage, number = open_storage(sys.argv[1], "p", 1), int(sys.argv[2])
while True:
    storage.write([number, -1], {"y": np.full(2, number)}, key=str(number) if number % 3 else "")
    print(number, flush=True)
    number += 1
"""
WRITER_OF_BATCHES = f"""
import sys
import numpy as np
from mlpipeline.dataflow.storage import open_storage
storage, number = open_storage(sys.argv[1], "p", 1), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for batch in range({BATCHES}):
    own = np.arange(10) + 1000 * number + 10 * batch
    storage.write([*own, -1], {{"y": np.full((11, 3), number)}}, key=f"{{number}}-{{batch}}")
"""


@pytest.fixture(params=["folder", "sqlite", "postgres"])
def where(request, tmp_path):
    if request.param == "folder":
        return str(tmp_path / "outputs")
    return (
        f"sqlite:///{tmp_path}/outputs.db" if request.param == "sqlite" else request.getfixturevalue("postgres_schema")
    )


def started(code, where, argument):
    command = [sys.executable, "-W", "error", "-c", code, where, str(argument)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def killed_while_writing(where, share, begun):
    """Let a process write again and again, kill it in the midst of a write, and return the turn of that write."""
    with started(ENDLESS_WRITER, where, begun) as process:
        assert int(process.stdout.readline()) == begun + 1
        since = time.perf_counter()
        turn = int(process.stdout.readline())
        time.sleep(share * (time.perf_counter() - since))  # the time that the first write took is the measure
        process.kill()
    return turn


def test_a_killed_write_is_there_whole_or_not_at_all(where):
    turn = 0
    for share in (0.4, 0.8):
        turn = killed_while_writing(where, share, turn)
        with open_storage(where, "p", 1) as storage:
            found = storage.read()
            value = found["z"][0]
            assert (found["y"] == value).all()
            assert (found["z"] == value).all()
            assert value >= turn - 1
            assert storage.runs()[-1].key == str(value)
            assert len(storage.find(str(value), range(ROWS))["y"]) == ROWS
            storage.write([0], {"y": np.zeros((1, 50), int), "z": [0]})  # nothing is locked or left in the way
            assert storage.read(0)["z"] == 0


def test_a_kill_while_a_folder_is_tidied_loses_nothing(tmp_path):
    begun = 0
    for rows in (17, 33, 50):
        with started(WRITER_OF_ROWS, str(tmp_path), begun) as process:
            told = [int(process.stdout.readline()) for _ in range(rows)][-1]
            process.kill()
        storage = open_storage(tmp_path, "p", 1)
        ids = storage.ids().tolist()
        begun = max(ids) + 1
        assert begun > told
        assert sorted(ids) == [-1, *range(begun)]
        assert (storage.read(range(begun))["y"] == np.arange(begun)).all()
        assert storage.read(-1)["y"] == begun - 1


@pytest.mark.parametrize("limit", [10_000, 1_000_000])
@pytest.mark.parametrize("where", ["folder", "sqlite"], indirect=True)
def test_a_write_that_ends_at_some_byte_of_a_file_is_not_there(where, limit):
    with started(WRITER_THAT_DIES, where, limit if "://" not in where else limit + 100_000) as process:
        process.communicate()
    assert process.returncode == -signal.SIGXFSZ
    with open_storage(where, "p", 1) as storage:
        assert [run.key for run in storage.runs()] == ["small"]
        assert (storage.read()["y"] == np.zeros((2, 50))).all()
        storage.write([5], {"y": np.ones((1, 50))})
        assert storage.read([5, 0])["y"].sum() == 50


def test_two_processes_write_at_once(where):
    processes = [started(WRITER_OF_BATCHES, where, number) for number in (1, 2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    with open_storage(where, "p", 1) as storage:
        assert len(storage) == 2 * 10 * BATCHES + 1
        for number in (1, 2):
            assert (storage.read(1000 * number + np.arange(10 * BATCHES))["y"] == number).all()
        keys = [f"{number}-{batch}" for number in (1, 2) for batch in range(BATCHES)]
        assert sorted(run.key for run in storage.runs()) == sorted(keys)
