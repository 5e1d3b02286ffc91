"""The report in a real browser: it draws, sorts, fetches nothing and complains of nothing."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from search.report.report import write_report
from search.report.serving import ReportServer
from search.store.store import Store
from search.study import Study

pytestmark = pytest.mark.slow

FAMILIES = ("gru", "<i>x</i> & <img src=x onerror=alert(1)>.py:Own", "tcn")
BACKGROUND = "it => getComputedStyle(it).backgroundColor"
FILL = "it => getComputedStyle(it).fill"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium; skipped without one, which in CI is a failure."""
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if found is None:
        words = "there is no Chromium to look at the report with (Debian: apt-get install chromium)"
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(words)
        pytest.fail(words)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the report on a study of three families, one with a hostile name."""
    folder = tmp_path_factory.mktemp("report") / "mine"
    description = {"name": "mine", "benchmark": "digits_rows", "families": ["gru", "tcn"]}
    study = Study.from_mapping(description | {"budget": {"trials_per_family": 2}})
    with Store.create(folder, study) as store:
        store.append(
            {"event": "opened", "metric": "accuracy", "maximize": True}
            | {"families": list(FAMILIES)}
        )
        for number in range(24):
            add_trial(store, number)
        store.append({"event": "closed"})
    return write_report(folder).as_uri()


def add_trial(store: Store, number: int) -> None:
    """Trials 0 to 8 search, three a family; the others are five finalists of each family."""
    family = FAMILIES[number % 3]
    of = None if number < 9 else number % 3
    place = {"trial": number, "attempt": 1, "epoch": 0}
    config = {
        "model": {"name": family, "size": 8 << number % 5, "kind": f"<u>{number % 2}</u>"},
        "training": {"rate": 10.0 ** -(number % 4)},
    }
    given = {"family": family, "config": config, "seed": number // 3, "finalist_of": of}
    store.append({"event": "proposed", **place, **given})
    level = 0.9 - 0.1 * (number % 3) + 0.001 * number
    for epoch in range(1, 6):
        measured = {"value": level - 0.3 / epoch, "seconds": 1.0 + number % 3, "parameters": 10**4}
        store.append({"event": "reported", **place, "epoch": epoch, **measured})
    if of is not None:
        store.append({"event": "tested", **place, "test": {"accuracy": level}})
    store.append({"event": "ended", **place, "state": "complete", "cause": ""})


@dataclass
class Visit:
    """The report on a screen, and whatever goes wrong on it."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def headings(self) -> list[str]:
        """The families in the order of the leaderboard's rows."""
        return self.page.locator("#leaderboard table").first.locator("tbody th").all_inner_texts()


def visit(browser: Browser, report: str, *, width: int, dark: bool = False) -> Visit:
    page = browser.new_page(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
    )
    found = Visit(page)
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("dialog", lambda dialog: found.complaints.append(dialog.message))
    page.on("request", lambda request: found.complaints.append(request.url))
    page.goto(report)
    page.wait_for_selector("html[data-ready]", timeout=100_000)
    assert found.complaints.pop(0) == report
    return found


@pytest.fixture(scope="module")
def desk(browser: Browser, report: str) -> Visit:
    return visit(browser, report, width=1200)


@pytest.fixture(scope="module")
def phone(browser: Browser, report: str) -> Visit:
    return visit(browser, report, width=390, dark=True)


def test_every_chart_that_is_not_folded_is_drawn(desk: Visit) -> None:
    charts = desk.page.locator("main > section > figure .chart, .panels .chart")
    assert charts.count() == 7
    for chart in charts.all():
        assert chart.locator("svg.main-svg").count() > 0
    assert desk.page.locator("#leaderboard tbody tr").first.is_visible()


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_round(desk: Visit) -> None:
    best_first = desk.headings()
    assert [name.strip() for name in best_first] == list(FAMILIES)
    heading = desk.page.locator("#leaderboard table").first.get_by_role(
        "columnheader", name="valid accuracy"
    )
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert desk.headings() == best_first[::-1]
    desk.page.keyboard.press("Enter")  # the button still has the focus
    assert heading.get_attribute("aria-sort") == "descending"
    assert desk.headings() == best_first
    assert desk.page.locator("#leaderboard table").first.locator("[aria-sort]").count() == 1


def test_what_has_no_value_is_sorted_to_the_end(desk: Visit) -> None:
    desk.page.locator("#leaderboard details").evaluate("it => { it.open = true; }")
    table = desk.page.locator("#leaderboard details table")
    button = table.get_by_role("columnheader", name="finalist of").get_by_role("button")
    for order in (["0"] * 5 + ["1"] * 5 + ["2"] * 5, ["2"] * 5 + ["1"] * 5 + ["0"] * 5):
        button.click()
        cells = table.locator("tbody td:nth-child(4)").all_inner_texts()
        assert cells == [*order, *[""] * 9]


def test_names_are_shown_as_they_are(desk: Visit) -> None:
    page = desk.page
    assert page.locator("img, i, u").count() == 0
    legend = page.locator('[data-chart="spending"] .legendtext')
    assert legend.all_text_contents() == list(FAMILIES)
    ticks = page.locator('[data-chart="spreads"] .ytick text').all_text_contents()
    assert sorted(ticks) == sorted(FAMILIES)


def test_a_folded_chart_is_drawn_when_it_is_opened(desk: Visit) -> None:
    fold = desk.page.locator("#settings details").first
    assert fold.locator("svg.main-svg").count() == 0
    fold.locator("summary").click()
    fold.locator("svg.main-svg").first.wait_for()
    assert fold.locator(".annotation-text").get_by_text("<u>1</u>").count() > 0


def test_in_print_all_is_open_and_on_white(desk: Visit) -> None:
    page = desk.page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.locator("#settings details").last.locator("svg.main-svg").first.wait_for()
    assert page.locator("details:not([open])").count() == 0
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("body").evaluate(BACKGROUND) == "rgb(255, 255, 255)"
    assert page.locator("nav").is_visible() is False
    assert desk.complaints == []


def test_a_phone_in_the_dark(phone: Visit) -> None:
    page = phone.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("body").evaluate(BACKGROUND) == "rgb(20, 23, 27)"
    label = page.locator('[data-chart="spending"] .xtick text').first
    in_the_dark = label.evaluate(FILL)
    page.emulate_media(color_scheme="light")
    page.wait_for_function(
        "([it, was]) => getComputedStyle(it).fill !== was",
        arg=[label.element_handle(), in_the_dark],
    )
    assert page.locator("body").evaluate(BACKGROUND) == "rgb(255, 255, 255)"
    assert phone.complaints == []


def test_without_scripts_all_numbers_are_there(browser: Browser, report: str) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(report)
    assert page.locator("#leaderboard tbody th").first.inner_text().strip() == "gru"
    assert page.locator("noscript").first.inner_text().startswith("The charts")


def test_a_served_report_loads_itself_anew_as_the_log_grows(
    browser: Browser, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    description = {"name": "mine", "benchmark": "digits_rows", "families": ["gru", "tcn"]}
    study = Study.from_mapping(description | {"budget": {"trials_per_family": 2}})
    opened = {"event": "opened", "metric": "accuracy", "maximize": True}
    with Store.create(folder, study) as store, ReportServer(folder, 0) as server:
        store.append(opened | {"families": list(FAMILIES)})
        add_trial(store, 0)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(server.url)
        page.get_by_text("1 trials").wait_for()
        add_trial(store, 1)
        page.get_by_text("2 trials").wait_for(timeout=60_000)
        page.close()
        server.shutdown()
        thread.join()
    assert complaints == []
