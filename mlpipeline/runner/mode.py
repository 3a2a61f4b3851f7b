"""Mode: what differs between test mode and execution mode, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mode:
    """How the queue is run.

    Args:
        name: as shown to people.
        queue_file: relative to the project folder.
        keeps_model_dir: runs keep their files under the outputs directory, else in a temporary folder.
        keeps_records: the journal and the outputs file are written.
        halts_on_failure: the first failure stops the queue.
        runs_one_step: train and evaluate one step only.
    """

    name: str
    queue_file: str
    keeps_model_dir: bool
    keeps_records: bool
    halts_on_failure: bool
    runs_one_step: bool


TEST = Mode("test mode", "models_test.config", False, False, True, True)
EXECUTION = Mode("execution mode", "models.config", True, True, False, False)
QUEUE_FILES = (EXECUTION.queue_file, TEST.queue_file)
