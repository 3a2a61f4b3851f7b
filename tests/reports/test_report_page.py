"""The report in a real browser, opened from disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlpipeline import reports
from tests.reports.browser import DEADLINE_MS, collect_problems, curve_names, run_names, take_picture
from tests.reports.records import end, write, write_curve
from tests.reports.sample_project import make_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    Open = Callable[..., Page]

pytest.importorskip("plotly")
pytest.importorskip("itables")
OWN = ("file:", "data:", "blob:")
HOSTILE = "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>"
UNNAMED = """() => [...document.querySelectorAll("button, input, select, a, dialog, [role=img], [role=button]")]
  .filter((one) => one.checkVisibility())
  .filter((one) => one.matches("input, select") || !one.innerText?.trim())
  .filter((one) => !(one.ariaLabel || one.title || one.labels?.[0]?.innerText?.trim() || one.placeholder
    || one.getAttribute("aria-labelledby")))
  .map((one) => one.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("report") / "digits")


@pytest.fixture(scope="module")
def address(project: Path) -> str:
    return reports.write_report(project, project / "report.html").as_uri()


@pytest.fixture(scope="module")
def rows(project: Path) -> list[dict[str, Any]]:
    """What is recorded, the last first, as the page shows it at first."""
    return [json.loads(line) for line in (project / "outputs" / "history-h1").read_text().splitlines()][::-1]


@pytest.fixture(scope="module")
def seen(browser: Browser, address: str) -> Iterator[tuple[Page, list[str]]]:
    """The page, opened once without a network, and what went wrong in it."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, offline=True)
    page, problems = context.new_page(), list[str]()
    page.set_default_timeout(DEADLINE_MS)
    collect_problems(page, problems)
    page.on("request", lambda request: None if request.url.startswith(OWN) else problems.append(request.url))
    page.goto(address)
    page.wait_for_selector("#parallel .parcoords")
    yield page, problems
    context.close()


@pytest.fixture
def page(seen: tuple[Page, list[str]]) -> Iterator[Page]:
    """The page as it is at first; nothing may go wrong in it."""
    page, problems = seen
    page.evaluate("details.close(); document.activeElement.blur(); scrollTo(0, 0)")
    page.get_by_placeholder("Search all columns").fill("")
    page.wait_for_function("!document.querySelector('.dt-info').textContent.includes('of 48')")
    yield page
    assert problems == []


def shows(page: Page, rows: list[Any]) -> bool:
    """Wait until the table shows these runs and no other."""
    page.wait_for_function(f"document.querySelector('.dt-info').textContent.startsWith('{len(rows)} runs')")
    names = run_names(page)
    return names == [row["version"] for row in rows][: len(names)] and len(names) > 0


def body_color(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def column(page: Page, name: str) -> list[str]:
    """Return the cells of a column that are drawn."""
    place = page.locator("#runs_wrapper .dt-scroll-head th").evaluate_all(
        "(cells, name) => cells.findIndex((cell) => cell.title === name) + 1", name
    )
    assert place > 0, f"there is no column {name}"
    return page.locator(f"#runs tbody tr td:nth-child({place})").all_inner_texts()


def sort_down(page: Page, name: str) -> None:
    """Sort by a column, the largest first, the way a reader does."""
    for order in ("ascending", "descending"):
        page.get_by_role("button", name=f"{name}: Activate to").first.click()
        page.locator(f".dt-scroll-head th[title='{name}'][aria-sort={order}]").wait_for()


def test_the_page_opens_from_disk_and_asks_for_nothing(page: Page, rows: list[Any]) -> None:
    assert page.title() == "digits · mlpipeline"
    assert page.locator("#counts").inner_text().split() == ["48", "runs", "45", "succeeded", "3", "failed"]
    assert shows(page, rows)
    assert curve_names(page) == [f"digits.py:{row['version']}" for row in rows if row["metrics"]][:6][::-1]


def test_a_column_sorts_by_number(page: Page, rows: list[Any]) -> None:
    known = sorted((row for row in rows if row["metrics"]), key=lambda row: row["metrics"]["test.accuracy"])
    sort_down(page, "test.accuracy")
    assert run_names(page)[:8] == [row["version"] for row in known[::-1][:8]]
    assert column(page, "test.accuracy")[0] == f"{known[-1]['metrics']['test.accuracy']:.4g}"
    sort_down(page, "ended")
    assert shows(page, rows)


def test_search_looks_in_all_columns(page: Page, rows: list[Any]) -> None:
    page.get_by_placeholder("Search all columns").fill("w64 gelu")
    assert shows(page, [row for row in rows if "w64" in row["version"] and "gelu" in row["version"]])


def test_each_column_has_a_filter(page: Page, rows: list[Any]) -> None:
    page.locator(".dt-scroll-head th[title=width] button[aria-label='Search width']").click()
    page.locator(".dtcc-dropdown input").fill("64")
    assert shows(page, [row for row in rows if row["parameters"]["width"] == 64])
    page.locator(".dtcc-dropdown input").fill("")
    page.keyboard.press("Escape")
    assert shows(page, rows)


def test_columns_are_chosen(page: Page) -> None:
    assert page.locator("th[title='train.accuracy']").count() == 0
    page.get_by_role("button", name="Columns").click()
    page.locator(".dt-button-collection").get_by_text("train.accuracy", exact=True).click()
    page.keyboard.press("Escape")
    assert column(page, "train.accuracy")[0].startswith("0.9")


def test_curves_of_the_chosen_runs_lie_on_top_of_each_other(page: Page, project: Path, rows: list[Any]) -> None:
    page.get_by_role("button", name="Choose none").click()
    assert curve_names(page) == []
    assert page.locator("#curves-hint").inner_text().startswith("Choose runs in the table")
    for row in rows[:2]:
        page.get_by_label(f"Show curves of digits.py:{row['version']}", exact=True).check()
    page.locator("#curve-metric").select_option("valid.accuracy")
    assert curve_names(page) == [f"digits.py:{row['version']}" for row in rows[:2]]
    drawn = page.evaluate("[...document.getElementById('curves').data[1].y]")
    lines = (project / "outputs" / rows[1]["model_dir"] / "metrics.jsonl").read_text().splitlines()[1:]
    points = [json.loads(line)["metrics"]["valid.accuracy"] for line in lines]
    assert drawn == pytest.approx(points, rel=1e-5)


def test_curves_have_a_logarithmic_scale_time_and_smoothing(page: Page) -> None:
    page.locator("#curve-metric").select_option("loss")
    page.get_by_label("Scale").select_option("log")
    page.get_by_label("Over").select_option("time")
    page.get_by_label("Smoothing").fill("0.9")
    figure = page.evaluate("(({data, layout}) => [layout.yaxis.type, data[0].x[1], data[0].y])(curves)")
    assert figure[:2] == ["log", 1]
    assert page.evaluate("(values) => values.every((value, k) => k === 0 || value <= values[k - 1] + 0.01)", figure[2])
    page.get_by_label("Scale").select_option("linear")
    page.get_by_label("Over").select_option("step")
    page.get_by_label("Smoothing").fill("0")


def test_a_run_is_shown_whole(page: Page, rows: list[Any]) -> None:
    page.get_by_role("button", name=rows[0]["version"], exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.locator("[data-figure] .main-svg").first.wait_for()
    text = dialog.inner_text()
    assert f"digits.py:{rows[0]['version']}" in text
    assert f"{rows[0]['metrics']['test.loss']:.4g}" in text
    figure = dialog.locator("[data-figure]").evaluate("(place) => place.data[0].text.flat()")
    assert sum(figure) == 400
    assert dialog.get_by_role("img", name="weights").evaluate("(image) => image.naturalWidth") == 1
    dialog.locator("summary", has_text="worst").click()
    assert dialog.locator("table.kept").inner_text().split() == ["id", "loss", "4", "2.5", "9", "1.75"]
    take_picture(page, "report-run.png")


def test_code_log_and_environment_of_a_run_are_shown(page: Page, rows: list[Any]) -> None:
    page.get_by_role("button", name=rows[0]["version"], exact=True).click()
    dialog = page.get_by_role("dialog")
    for part in ("Code", "Log", "Environment"):
        dialog.locator("summary", has_text=part).click()
    assert 'LABELS = "</script><b>&amp;"' in dialog.inner_text()
    dialog.get_by_label("File").select_option("layers.py")
    assert dialog.get_by_label("Code").inner_text() == "WIDTH = 64\n"
    assert "epoch 1" in dialog.inner_text()
    assert "2.9.1" in dialog.inner_text()


def test_the_error_of_a_failed_run_is_shown(page: Page) -> None:
    page.get_by_placeholder("Search all columns").fill("failed")
    page.locator("#runs button.opener").first.click()
    error = page.get_by_role("dialog").locator("pre.error")
    assert error.inner_text().endswith("ValueError: loss is not finite")


def test_what_is_dragged_over_an_axis_narrows_the_table(page: Page, rows: list[Any]) -> None:
    page.wait_for_selector("#parallel .parcoords")
    page.evaluate("Plotly.restyle('parallel', {'dimensions[1].constraintrange': [[[50, 70]]]}, [0])")
    assert shows(page, [row for row in rows if row["metrics"] and row["parameters"]["width"] == 64])
    page.evaluate("Plotly.restyle('parallel', {'dimensions[1].constraintrange': null}, [0])")
    assert shows(page, rows)


def test_the_importance_of_parameters_is_drawn(page: Page) -> None:
    page.locator("#figure-metric").select_option("test.loss")
    page.wait_for_selector("#importance .main-svg")
    assert page.evaluate("importance.data[0].y.at(-1)") in ("width", "learning_rate")


def test_everything_is_reached_by_the_keyboard(page: Page, rows: list[Any]) -> None:
    page.locator("a, button, input, select").first.focus()
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('button.opener')"):
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").get_by_role("heading").inner_text().startswith(f"digits.py:{rows[2]['version']}")
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    assert page.evaluate("document.activeElement.textContent") == rows[2]["version"]


def test_every_control_has_a_name(page: Page, rows: list[Any]) -> None:
    assert page.evaluate(UNNAMED) == []
    page.get_by_role("button", name=rows[0]["version"], exact=True).click()
    page.wait_for_selector("#details details")
    assert page.evaluate(UNNAMED) == []


def test_the_page_is_dark_where_the_reader_likes_it_dark(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("curves.layout.font.color === 'rgb(221, 226, 233)'")
    assert body_color(page) == "rgb(15, 18, 22)"
    page.get_by_role("button", name="Theme: auto").click()
    page.wait_for_function("curves.layout.font.color === 'rgb(29, 35, 43)'")
    assert body_color(page) == "rgb(245, 246, 248)"
    page.get_by_role("button", name="Theme: light").click()
    page.get_by_role("button", name="Theme: dark").click()
    page.emulate_media(color_scheme="light")
    page.wait_for_function("getComputedStyle(document.body).backgroundColor === 'rgb(245, 246, 248)'")


def test_the_picture_of_the_page(page: Page, rows: list[Any]) -> None:
    page.set_viewport_size({"width": 1440, "height": 1400})
    page.get_by_role("button", name="Choose none").click()
    for row in rows[:16:2]:
        page.get_by_label(f"Show curves of digits.py:{row['version']}", exact=True).check()
    take_picture(page, "report-page.png", full=True)
    page.emulate_media(color_scheme="dark")
    take_picture(page, "report-page-dark.png", full=True)
    page.emulate_media(color_scheme="light")
    assert page.get_by_role("heading", level=2).all_inner_texts() == ["Runs", "Curves", "Parameters"]


def test_a_narrow_screen_needs_no_sideways_scrolling(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function("document.documentElement.scrollWidth <= 400")
    page.wait_for_function("document.querySelector('#parallel .main-svg').clientWidth < 400")
    take_picture(page, "report-narrow.png")
    page.set_viewport_size({"width": 1440, "height": 1000})


@pytest.fixture(scope="module")
def odd(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of runs with names that are HTML, and of metrics that are no numbers."""
    root = tmp_path_factory.mktemp("odd")
    values = [0.25, "nan", 0.123456, "inf"]
    named = {"script": f"{HOSTILE}.py", "status": "FAILED", "error": HOSTILE, "error_summary": HOSTILE}
    for k in range(4):
        parameters = {HOSTILE: HOSTILE if k else "b", "x": k}
        record = end(k, **named, version=f"{k}{HOSTILE}", parameters=parameters, metrics={f"test.{HOSTILE}": values[k]})
        record["model_dir"] = f"model_ckpts/m{k}"
        write(root / "outputs", record)
        write_curve(root / "outputs", record, {HOSTILE: [1.0, float("nan"), 2.0]})
    page, problems = browser.new_page(viewport={"width": 1440, "height": 1000}), list[str]()
    page.set_default_timeout(DEADLINE_MS)
    collect_problems(page, problems)
    page.goto(reports.write_report(root, root / "report.html").as_uri())
    page.wait_for_selector("#curves .legendtext")
    yield page
    page.close()
    assert problems == []


def test_names_are_shown_and_not_executed(odd: Page) -> None:
    odd.get_by_role("button", name="Columns").click()
    assert HOSTILE in odd.locator(".dt-button-collection").inner_text()
    odd.locator(".dt-button-background").click()
    assert HOSTILE[:20] in str(odd.locator("#curves .legendtext").first.text_content())
    odd.locator("#runs button.opener").first.click()
    odd.wait_for_selector("#details pre.error")
    assert odd.locator("#details pre.error").inner_text() == HOSTILE
    odd.keyboard.press("Escape")
    assert odd.locator("[onerror]").count() == 0
    assert odd.title().startswith("odd")


def test_numbers_that_are_none_are_shown_and_sorted_last(odd: Page) -> None:
    odd.locator(".dt-scroll-head th[title^='test.'] .dt-column-order").click()
    odd.locator(".dt-scroll-head th[title^='test.'][aria-sort=ascending]").wait_for()
    odd.locator(".dt-scroll-head th[title^='test.'] .dt-column-order").click()
    odd.locator(".dt-scroll-head th[title^='test.'][aria-sort=descending]").wait_for()
    shown = column(odd, f"test.{HOSTILE}")
    assert (shown[:2], sorted(shown[2:])) == (["0.25", "0.1235"], ["inf", "nan"])
    assert odd.locator("#runs td").get_by_text("0.1235").get_attribute("title") == "0.123456"


def test_a_page_of_no_runs_says_so(open_page: Open, tmp_path: Path) -> None:
    page = open_page(reports.write_report(tmp_path, tmp_path / "report.html").as_uri())
    assert page.locator("#runs tbody").inner_text() == "Nothing has been recorded yet."
    assert page.locator("#parallel").inner_text() == "No run has a metric."
