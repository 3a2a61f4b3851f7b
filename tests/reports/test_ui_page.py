"""The live page in a real browser, while a real daemon works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.reports import records
from tests.reports.browser import collect_problems, take_picture
from tests.reports.live import Live
from tests.reports.sample_project import make_project
from tests.support import Folder, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

TRAINS = """
for part in range(3):
    wait_for(f"go{part + 1}")
    for step in range(20 * part + 1, 20 * part + 21):
        time.sleep(0.02)
        loss = 2.3 * 0.93**step + 0.03 * (step % 3)
        print(f"step {step} of 60, loss {loss:.3f}" + " <b>&amp; done</b>" * (step == 60), flush=True)
        self.report(step, 60, loss=loss)
wait_for("end")
"""
QUEUE = "#queue li"


def sample(root: Path, count: int) -> Folder:
    """A project of finished runs."""
    root.mkdir()
    folder = Folder(root)
    (root / "models").rmdir()
    make_project(root, count, 20)
    folder.queue("digits.py")
    return folder


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Page]:
    """The page of a project where nothing runs, read-only."""
    folder = sample(tmp_path_factory.mktemp("few") / "digits", 24)
    page = browser.new_page(color_scheme="light")
    problems: list[str] = []
    collect_problems(page, problems)
    page.goto(Live(folder).url)
    page.wait_for_selector(QUEUE)
    yield page
    page.close()
    folder.close()
    assert problems == []


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = Folder(tmp_path_factory.mktemp("many"))
    grid = [
        {"learning_rate": 0.1 / (1 + k % 7), "width": 16 * (1 + k % 5), "dropout": k % 3 / 10} for k in range(2_000)
    ]
    ends = [records.end(k, parameters=grid[k], metrics={"test.accuracy": k % 97 / 97}) for k in range(2_000)]
    records.write(folder.outputs, *ends)
    folder.queue()
    yield Live(folder)
    folder.close()


def names(page: Page) -> list[str]:
    return page.locator(f"{QUEUE} .name").all_inner_texts()


def row(page: Page, name: str) -> Locator:
    return page.locator(f'{QUEUE}[data-name="{name}"]')


def listed(folder: Folder) -> list[str]:
    return (folder.root / "models.config").read_text().splitlines()[1:]


def holding(folder: Folder) -> None:
    """Start a daemon whose first script holds until it is let go."""
    folder.script("first.py", "wait_for('end')")
    for name in ("second.py", "third.py", "fourth.py"):
        folder.script(name)
    folder.queue("first.py", "second.py", "third.py", "fourth.py")
    folder.start("-r")
    wait_until(lambda: folder.history("start"))


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Folder]:
    """A project of finished runs, and one that goes on."""
    folder = sample(tmp_path / "digits", 24)
    folder.script("wider.py", TRAINS, versions=["w512", "w1024"])
    folder.script("deeper.py")
    folder.queue("wider.py", "deeper.py")
    folder.start("-r")
    wait_until(lambda: folder.history("start"))
    yield folder
    folder.close()


def test_a_curve_and_a_log_grow_while_it_trains(training: Folder, open_page: Callable[..., Page]) -> None:
    page = open_page(Live(training, "--edit").url, viewport={"width": 1440, "height": 1740})
    page.locator("#log-pane summary").click()
    drawn = "(document.getElementById('curves').data ?? []).map((trace) => [trace.name, trace.x.length].join())"
    for part in (1, 2, 3):
        (training.root / f"go{part}").touch()
        page.wait_for_function(f"({drawn}).includes('wider.py:w512,{20 * part}')")
        printed = f"step {20 * part} of 60, loss"
        page.wait_for_function(f"document.getElementById('log').textContent.includes('{printed}')")
        if part == 2:
            page.get_by_role("button", name="Choose the first 10").click()
            page.wait_for_function(f"({drawn}).length >= 9")
            take_picture(page, "ui-page.png")
    assert "<b>&amp; done</b>" in page.locator("#log").inner_text()
    progress = page.get_by_role("progressbar", name="Progress of wider.py:w512")
    assert progress.evaluate("(bar) => bar.value / bar.max") == 1.0
    (training.root / "end").touch()
    page.wait_for_function("document.getElementById('running-summary').textContent.startsWith('No daemon')")
    page.wait_for_function("/w512[^]*w1024|w1024[^]*w512/.test(document.getElementById('runs').textContent)")


def test_a_script_that_is_dragged_to_the_top_runs_next(folder: Folder, open_page: Callable[..., Page]) -> None:
    holding(folder)
    page = open_page(Live(folder, "--edit").url, ready=QUEUE)
    assert names(page) == ["first.py", "second.py", "third.py", "fourth.py"]
    row(page, "fourth.py").drag_to(row(page, "first.py"))
    wait_until(lambda: listed(folder) == ["fourth.py", "first.py", "second.py", "third.py"])
    page.wait_for_function("document.getElementById('queue-status').textContent.includes('number 1 of 4')")
    (folder.root / "end").touch()
    wait_until(lambda: len(folder.history()) == 4)
    assert [record["script"] for record in folder.history()] == ["first.py", "fourth.py", "second.py", "third.py"]


def test_the_queue_is_changed_by_keyboard_alone(folder: Folder, open_page: Callable[..., Page]) -> None:
    holding(folder)
    page = open_page(Live(folder, "--edit").url, ready=QUEUE)
    row(page, "fourth.py").get_by_role("button", name="Move up fourth.py").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # before the first change is known to be written
    page.wait_for_function("document.activeElement.closest('li')?.dataset.place === '1'")
    page.wait_for_function("document.getElementById('queue-status').textContent.includes('number 2 of 4')")
    assert listed(folder) == ["first.py", "fourth.py", "second.py", "third.py"]
    row(page, "second.py").get_by_role("button", name="Remove second.py").press("Space")
    wait_until(lambda: listed(folder) == ["first.py", "fourth.py", "third.py"])
    page.get_by_label("Add a script").fill("second.py")
    page.keyboard.press("Enter")
    wait_until(lambda: listed(folder) == ["first.py", "fourth.py", "third.py", "second.py"])
    (folder.root / "end").touch()
    wait_until(lambda: len(folder.history()) == 4)
    assert [record["script"] for record in folder.history()][1:] == ["fourth.py", "third.py", "second.py"]


def test_a_queue_that_changed_underneath_is_refused_and_shown_anew(folder: Folder, browser: Browser) -> None:
    for name in ("a.py", "b.py", "c.py"):
        folder.script(name)
    folder.queue("a.py", "b.py")
    page = browser.new_page()
    problems: list[str] = []
    collect_problems(page, problems)
    page.goto(Live(folder, "--edit").url)
    page.wait_for_selector(QUEUE)

    def edit_meanwhile(route: object) -> None:
        if route.request.method == "PUT":  # type: ignore[attr-defined]
            folder.queue("c.py", "a.py", "b.py")
        route.continue_()  # type: ignore[attr-defined]

    page.route("**/api/queue", edit_meanwhile)
    row(page, "b.py").get_by_role("button", name="Move up b.py").click()
    page.wait_for_function("document.getElementById('queue-status').textContent.includes('was changed meanwhile')")
    wait_until(lambda: names(page) == ["c.py", "a.py", "b.py"])
    assert listed(folder) == ["c.py", "a.py", "b.py"]
    folder.queue("b.py")
    page.wait_for_function("document.querySelectorAll('#queue li').length === 1")
    page.context.close()
    assert [text for text in problems if "409" not in text] == []


def test_without_edit_the_queue_is_only_shown(shown: Page) -> None:
    assert "Read-only" in shown.locator("#queue-hint").inner_text()
    assert shown.locator(f"{QUEUE} button:enabled").count() == 0
    assert shown.locator(f"{QUEUE}[draggable=true]").count() == 0


def test_two_thousand_runs_are_painted_and_filtered_in_time(many: Live, open_page: Callable[..., Page]) -> None:
    page = open_page(many.url)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 2_000
    assert "2,000" in page.locator(".dt-info, .dataTables_info").first.inner_text()
    began = time.monotonic()
    page.get_by_role("searchbox").first.fill("v199")
    page.wait_for_function("document.querySelector('.dt-info').textContent === '11 runs of 2,000'")
    assert time.monotonic() - began < 2


def test_all_that_can_be_used_has_a_name(shown: Page) -> None:
    nameless = """[...document.querySelectorAll("button, input, select, textarea, progress, [role=img], table, pre")]
        .filter((one) => one.checkVisibility() && !one.closest(".modebar, .js-plotly-plot svg"))
        .filter((one) => !one.ariaLabel && !one.getAttribute("aria-labelledby") && !one.title && !one.labels?.length
            && !one.textContent.trim()).map((one) => one.outerHTML.slice(0, 120))"""
    assert shown.evaluate(nameless) == []
    assert shown.get_by_role("heading", level=1).count() == 1
    assert shown.get_by_role("list", name="Queue").count() == 1


def test_it_is_light_or_dark_as_the_reader_likes(shown: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    assert shown.evaluate(ground) > 600
    shown.emulate_media(color_scheme="dark")
    shown.wait_for_function(f"{ground} < 200")
    shown.get_by_role("button", name="Theme: auto").click()
    shown.wait_for_function(f"{ground} > 600")


def test_it_comes_back_when_the_server_does(folder: Folder, browser: Browser) -> None:
    folder.script("a.py")
    folder.queue("a.py")
    live = Live(folder, "--edit")
    page = browser.new_page()
    page.goto(live.url)
    page.wait_for_selector(QUEUE)
    live.stop(15)
    page.wait_for_selector("#connection:not([hidden])")
    folder.queue()
    again = folder.start("ui", "--port", str(live.port), "--edit")
    page.wait_for_selector("#connection", state="hidden")
    page.wait_for_function("document.querySelectorAll('#queue li').length === 0")
    page.context.close()
    again.terminate()
