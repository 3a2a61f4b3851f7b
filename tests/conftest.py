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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test, so that other processes do the rest beside it."""
    items.sort(key=lambda item: "test_readme" not in item.nodeid)
