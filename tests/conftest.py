"""States that tests begin from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlpipeline.reporting import listen
from tests.support import Folder, Report


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    made.close()


@pytest.fixture
def told() -> Iterator[list[Report]]:
    """What models report in this process: step, total and metrics."""
    reports: list[Report] = []
    listen(lambda *report: reports.append(report))
    yield reports
    listen()
