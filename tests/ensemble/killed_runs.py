"""Kill runs while they write, each at another moment, and go on; print how many kills there were.

Usage: python -m tests.ensemble.killed_runs FOLDER
"""

from __future__ import annotations

import os
import signal
import sys

from tests.ensemble.light_runs import run


def main(folder: str) -> None:
    kills = 0
    while _is_killed_at(kills, folder):
        kills += 1
    print(kills)


def _is_killed_at(moment: int, folder: str) -> bool:
    """Run in a child that is killed before it moves the file of that number into place; then go on with the run."""
    child = os.fork()
    if not child:
        moves = iter(range(moment + 1))
        sys.addaudithook(lambda event, _: _kill_at(moment, next(moves)) if event == "os.rename" else None)
        run(folder, f"run{moment}")
        os._exit(0)
    was_killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    if was_killed:
        run(folder, f"run{moment}", resume=True)
    return was_killed


def _kill_at(moment: int, move: int) -> None:
    if move == moment:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
