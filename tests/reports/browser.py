"""A real browser that looks at the page, and all that goes wrong in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DEADLINE_MS = 30_000
_COMMANDS = ("chromium", "chromium-browser", "google-chrome")
_ABORTED = "net::ERR_ABORTED"  # a stream of events that the page has closed itself


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    command = next(filter(None, map(shutil.which, _COMMANDS)), None)
    if command is None:
        pytest.skip(f"none of {', '.join(_COMMANDS)} is installed")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=command, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an address in a context of its own; at the end nothing may have gone wrong in any of them."""
    problems: list[str] = []
    contexts = []

    def opened(address: str, *, ready: str = "#runs tbody tr", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 1000}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(DEADLINE_MS)
        collect_problems(page, problems)
        page.goto(address)
        page.wait_for_selector(ready)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def collect_problems(page: Page, problems: list[str]) -> None:
    """Add to a list what the console, the page or a request complains of."""
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("console", lambda said: problems.append(f"console: {said.text}") if said.type == "error" else None)
    page.on(
        "requestfailed",
        lambda request: (
            problems.append(f"{request.url[:200]}: {request.failure}") if request.failure != _ABORTED else None
        ),
    )


def take_picture(page: Page, name: str, *, full: bool = False) -> None:
    """Write a picture of what is seen, or of the whole page, into the folder that MLPIPELINE_PICTURES names."""
    if folder := os.environ.get("MLPIPELINE_PICTURES"):
        page.evaluate("document.activeElement?.blur(); window.scrollTo(0, 0)")
        page.screenshot(path=Path(folder, name), animations="disabled", full_page=full)


def run_names(page: Page) -> list[str]:
    """Return the versions in the table, from top to bottom, as far as they are drawn."""
    return page.locator("#runs tbody button.opener").all_inner_texts()


def curve_names(page: Page) -> list[str]:
    """Return the names of the curves that are drawn."""
    return list(page.evaluate("(document.getElementById('curves').data ?? []).map((trace) => trace.name)"))
