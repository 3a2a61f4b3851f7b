"""Train members in several processes, each with one thread; the processes stay ready for the next run."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from mlpipeline.ensemble.member import Member, Work, train_member
from mlpipeline.errors import EnsembleError

_LARGE = "64K"  # arrays from this size on are written once, and mapped by every worker


def train_in_processes(work: Work, numbers: Sequence[int], workers: int) -> Iterator[Member]:
    """Yield members as they are ready; each is what one process with one thread would make of it, bit for bit.

    Arrays, also those within frames, sparse matrices and mappings, are written once to memory-backed or temporary
    files, which workers map: rows are not copied to each. A model function may be defined anywhere, in a notebook too.

    Args:
        work: what all members have in common. numbers: of the members to train. workers: processes.
    Raises: EnsembleError: a worker died. What a member raises arrives as it is. In both cases the others are ended.
    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import BrokenProcessPool

    os.environ.setdefault("KERAS_BACKEND", "torch")  # a worker reads it when Keras is first imported there
    pending = list(numbers)
    with parallel_config("loky", inner_max_num_threads=1):
        parallel = Parallel(
            n_jobs=min(workers, len(pending)),
            return_as="generator_unordered",
            batch_size=1,
            max_nbytes=_LARGE,
            mmap_mode="r",
        )
    try:
        with closing(parallel(delayed(_train)(work, number, os.getpid()) for number in numbers)) as members:
            for member in members:
                pending.remove(member.number)
                yield member
    except BrokenProcessPool as error:
        running = " or ".join(work.splits.name(number) for number in pending[:workers])
        codes = "".join(f"; {line}" for line in str(error).splitlines() if "exit codes" in line)
        raise EnsembleError(
            f"a worker process died while it trained {running}{codes}. If memory ran out, use fewer workers or smaller "
            "batches. Members that were kept before are safe"
        ) from error


def _train(work: Work, number: int, parent: int) -> Member:
    _end_with(parent)
    return train_member(work, number)


@functools.cache  # once a process
def _end_with(parent: int) -> None:
    """End this process when the one that started it has been killed, which could not end it itself."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
