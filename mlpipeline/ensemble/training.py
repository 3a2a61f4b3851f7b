"""Train the members that are still to be trained: one after the other, all at once, or in several processes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence

from mlpipeline.ensemble.member import Member, Work, assignment_of, judged, train_member

_log = logging.getLogger(__name__)


def train_members(work: Work, numbers: Sequence[int], *, together: bool | None, workers: int) -> Iterator[Member]:
    """Yield members as they are ready.

    Args:
        work: what all members have in common. numbers: of the members to train.
        together: all at once wherever it can be done; None where it also pays, False never.
        workers: processes.
    """
    if workers > 1 and len(numbers) > 1:
        from mlpipeline.ensemble.workers import train_in_processes

        yield from train_in_processes(work, numbers, workers)
        return
    is_tried = together is not False and len(numbers) > 1
    done = _train_together(work, numbers, forced=together is True) if is_tried else None
    yield from done if done is not None else (train_member(work, number) for number in numbers)


def _train_together(work: Work, numbers: Sequence[int], *, forced: bool) -> list[Member] | None:
    fit_together = getattr(work.trainer, "fit_together", None)
    if fit_together is None:
        if forced:
            _log.warning("%s trains members one after the other, not all at once", type(work.trainer).__name__)
        return None
    started = time.perf_counter()
    assignments = [assignment_of(work, number) for number in numbers]
    fitted = fit_together([assignment for _, assignment in assignments], forced=forced)
    if fitted is None:
        return None
    share = (time.perf_counter() - started) / len(numbers)  # what each member has cost
    return [
        judged(work, number, preparation, one, time.perf_counter() - share)
        for number, (preparation, _), one in zip(numbers, assignments, fitted, strict=True)
    ]
