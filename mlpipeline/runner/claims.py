"""Which daemon may run in a model directory, and what became of runs whose daemon died."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from mlpipeline.errors import RecordError
from mlpipeline.locks import is_held_elsewhere
from mlpipeline.project import RESULT_FILE, Project
from mlpipeline.records import Record, Result, Status, now
from mlpipeline.runner.journal import Journal
from mlpipeline.runner.outcome import read_result


class Claims:
    """The directories that this daemon owns: from before a run starts until its end is recorded."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._held: dict[str, FileLock] = {}

    def take(self, model_dir: str) -> bool:
        """Claim a directory; False when another daemon has it.

        Raises: RecordError: the outputs directory cannot be written.
        """
        path = self._project.lock_file(Path(model_dir))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path, timeout=0)
            lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            raise RecordError(
                f"{path} cannot be written: {error.strerror}; make room or mend the permissions"
            ) from error
        self._held[model_dir] = lock
        return True

    def release(self, model_dir: str) -> None:
        """Give a directory back."""
        if lock := self._held.pop(model_dir, None):
            lock.release()


def settle_abandoned(journal: Journal, claims: Claims, project: Project) -> list[tuple[Record, Result | None]]:
    """End every run in the journal whose daemon and process are gone, and return what was recorded.

    A run that had left its result counts as what the result says: its daemon died before it could record it.
    """
    settled = []
    for start in list(journal.open.values()):
        folder = project.recorded_dir(start.details.get("model_dir"))
        if folder is not None and (is_held_elsewhere(folder / ".lock") or not claims.take(str(folder))):
            continue
        try:
            journal.refresh()
            if start.run_id in journal.open:
                settled.append(_settle(start, folder, journal))
        finally:
            claims.release(str(folder))
    return settled


def settle_in(folder: Path, journal: Journal, project: Project) -> None:
    """End the abandoned runs of a directory that this daemon has claimed."""
    for start in list(journal.open.values()):
        if project.recorded_dir(start.details.get("model_dir")) == folder:
            _settle(start, folder, journal)


def _settle(start: Record, folder: Path | None, journal: Journal) -> tuple[Record, Result | None]:
    result = read_result(folder / RESULT_FILE, start.run_id) if folder else None
    kept = result.kept() if result else {"ended": now(), "recorded": now()}
    details = {**start.details, **kept, "recovered": result is not None}
    status = result.status if result is not None else Status.INTERRUPTED
    end = Record("end", start.run_id, start.script, start.version, status, start.fingerprint, details)
    journal.append(end)
    return end, result
