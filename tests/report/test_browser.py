"""The pages in a real browser: they load in silence, play the right film, sort, and read on a phone and by night."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from support.browser import DESK, PHONE, Browser
from support.made_up_runs import made_up_run, page_run
from support.models import forge_manifest

from clrobot.films.encode import write_video
from clrobot.report.comparison_page import write_comparison
from clrobot.report.films import Videos
from clrobot.report.page import write_report
from clrobot.results.catalogue import LEARNING_SECTIONS, TASK_METRICS
from clrobot.results.numbers import number
from clrobot.runs.folder import RunFolder, stage_name

pytestmark = pytest.mark.browser

MATRICES = {
    ("ewc", 0): [[0.0, 0.0, 0.0], [0.9, 0.0, 0.1], [0.9, 0.8, 0.2], [0.88, 0.78, 0.9]],
    ("ewc", 1): [[0.0, 0.0, 0.0], [1.0, 0.0, 0.1], [0.9, 0.9, 0.2], [0.9, 0.8, 1.0]],
    ("finetune", 0): [[0.0, 0.0, 0.0], [0.9, 0.0, 0.0], [0.5, 0.9, 0.1], [0.2, 0.3, 0.9]],
    ("finetune", 1): [[0.0, 0.0, 0.0], [0.9, 0.0, 0.0], [0.4, 0.9, 0.1], [0.1, 0.5, 0.8]],
    ("progressive", 0): [[0.0, 0.0, 0.0], [0.8, 0.0, 0.0], [0.8, 0.7, 0.0], [0.8, 0.7, 0.6]],
}
"""R by method and seed; without references, so that forward transfer is undefined."""


def film_size(stage: int, slot: int) -> tuple[int, int]:
    """Width and height of a made-up film, from which a player can be asked what it plays; slots count from 0."""
    return 64 + 16 * stage, 64 + 16 * slot


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], RunFolder]:
    """Runs of three methods, with a real film of each skill trained so far after each stage."""
    folder = tmp_path_factory.mktemp("runs here")
    made = {}
    for (method, seed), matrix in MATRICES.items():
        run = made_up_run(folder / f"{method}-{seed}", matrix, method=method, seed=seed)
        for stage in range(1, 4):
            for slot, name in enumerate(run.config.curriculum.slots[:stage]):
                width, height = film_size(stage, slot)
                frames = [np.full((height, width, 3), 5 * n, np.uint8) for n in range(50)]
                write_video(run.videos / stage_name(stage) / f"{name}.mp4", frames)
        made[method, seed] = run
    return made


@pytest.fixture(scope="module")
def one(runs: dict[tuple[str, int], RunFolder]) -> Path:
    return write_report(runs["ewc", 0].path)


@pytest.fixture(scope="module")
def several(runs: dict[tuple[str, int], RunFolder]) -> Path:
    return write_comparison(list(runs.values()), runs["ewc", 0].path.parent / "report.html")


# The browser -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.driver.quit()


@pytest.fixture(params=["one", "several"])
def page(request: pytest.FixtureRequest) -> Path:
    """Each of the two pages."""
    path: Path = request.getfixturevalue(request.param)
    return path


# It loads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_it_loads_in_silence_and_fits_the_window(page: Path, width: int, theme: str, browser: Browser) -> None:
    browser.open(page, width, theme)
    assert width - 20 <= browser.fitting_width() <= width  # a desk's window has a bar to scroll down
    browser.show_all()
    assert width - 20 <= browser.fitting_width() <= width
    assert browser.complaints() == []
    asked = browser.requests()
    assert asked[0] == page.resolve().as_uri()
    assert [address for address in asked if not address.startswith(("file:", "data:"))] == []


def test_a_figure_is_drawn_for_the_window_it_is_in(page: Path, browser: Browser) -> None:
    for width, shown, hidden in ((DESK, "wide", "narrow"), (PHONE, "narrow", "wide")):
        browser.open(page, width)
        browser.show_all()
        assert all(figure.is_displayed() for figure in browser.all(f".drawn .{shown}"))
        assert not any(figure.is_displayed() for figure in browser.all(f".drawn .{hidden}"))
        sizes = browser.run(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect().height)",
            f".drawn .{shown} svg text",
        )
        assert min(sizes) >= 7.5  # pixels of a line of text: no figure is shrunk to what nobody can read


# Its numbers -----------------------------------------------------------------------------------------------


def numbers(browser: Browser, selector: str) -> list[list[float | None]]:
    """The numbers of a table as the page holds them, by row."""
    return browser.run(
        """
        return [...document.querySelector(arguments[0]).tBodies[0].rows].map(row => [...row.cells].slice(1)
          .filter(cell => !cell.classList.contains("empty"))
          .map(cell => { const data = cell.querySelector("data"); return data && Number(data.value); }))
        """,
        selector,
    )


def as_lists(matrix: Iterable[Iterable[float | None]]) -> list[list[float | None]]:
    return [list(row) for row in matrix]


def test_the_numbers_are_those_of_the_run(
    one: Path, runs: dict[tuple[str, int], RunFolder], browser: Browser
) -> None:
    metrics = runs["ewc", 0].read_metrics()
    browser.open(one)
    assert numbers(browser, "table.heat") == as_lists(metrics.success_matrix) == MATRICES["ewc", 0]
    assert numbers(browser, "details table.heat") == as_lists(metrics.success_matrix_final)
    drops = [list(row[:stage]) for stage, row in enumerate(metrics.isolated_forgetting[1:], start=1)]
    assert numbers(browser, "table.change") == drops
    keys = [metric.name for metric in TASK_METRICS if not metric.optional]
    assert numbers(browser, "table.numbers") == [[getattr(task, key) for key in keys] for task in metrics.per_task]
    shown = browser.run("return [...document.querySelectorAll('.headline div')].map(e => e.innerText)")
    assert number(metrics.average_success) in shown[0]
    assert "–" in shown[4]  # forward transfer has no reference


def test_the_comparison_s_numbers_are_means_of_the_runs(
    several: Path, runs: dict[tuple[str, int], RunFolder], browser: Browser
) -> None:
    browser.open(several)
    places = [f'[aria-label="{title}"] table.sortable' for title in list(LEARNING_SECTIONS)[:3:2]]
    success, transfer = (
        [header.text for header in browser.one(place).find_elements(By.CSS_SELECTOR, "thead button")]
        for place in places
    )
    kept, came_over = (dict(zip(groups(browser), numbers(browser, place), strict=True)) for place in places)
    less = '[aria-label="What was learned and kept: less finetune, by seed"] table.sortable'
    ewc, finetune = ([runs[m, s].read_metrics().value("forgetting") for s in (0, 1)] for m in ("ewc", "finetune"))
    difference = np.mean(np.subtract(ewc, finetune))
    assert numbers(browser, less)[0][success.index("Forgetting") - 1] == pytest.approx(difference)
    for method in ("ewc", "finetune", "progressive"):
        successes = [run.read_metrics().average_success for (m, _), run in runs.items() if m == method]
        assert kept[method][success.index("Average success") - 1] == pytest.approx(np.mean(successes))
        assert came_over[method][transfer.index("Forward transfer") - 1] is None


def test_its_files_are_those_of_the_run(
    one: Path, runs: dict[tuple[str, int], RunFolder], browser: Browser, tmp_path: Path
) -> None:
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    browser.open(one)
    for name in ("metrics.json", "scores.jsonl"):
        browser.one(f'a[download="{name}"]').click()
        browser.wait((tmp_path / name).exists)
        assert (tmp_path / name).read_bytes() == (runs["ewc", 0].path / name).read_bytes()


# Films -----------------------------------------------------------------------------------------------------


def playing(browser: Browser) -> dict[str, Any] | None:
    """What the player shows, once its film is running."""
    return browser.run(
        """
        const v = document.querySelector("dialog video");
        return v.readyState >= 2 && v.currentTime > 0.1
          ? {source: v.currentSrc, width: v.videoWidth, height: v.videoHeight, paused: v.paused} : null
        """
    )


def check_plays(browser: Browser, stage: int, slot: int) -> str:
    """Wait until the film of a stage and a slot runs; returns where it came from."""
    size = film_size(stage, slot)
    browser.wait(lambda: (now := playing(browser)) and (now["width"], now["height"]) == size)
    now = playing(browser)
    assert now is not None
    assert not now["paused"]
    return str(now["source"])


@pytest.mark.parametrize("videos", ["link", "embed"])
def test_every_cell_plays_its_film(
    videos: Videos, runs: dict[tuple[str, int], RunFolder], browser: Browser, tmp_path: Path
) -> None:
    run = runs["finetune", 0]
    page = write_report(run.path, tmp_path / "elsewhere.html", videos)
    browser.open(page)
    cells = browser.all("table.heat:not(.change) a[data-slot]")[:6]
    told = [(int(str(cell.get_attribute("data-slot"))), cell.get_attribute("data-when")) for cell in cells]
    order = [(stage, slot) for stage in range(1, 4) for slot in range(stage)]
    names = run.config.curriculum.slots
    assert told == [(slot, f"after stage {stage}, {names[stage - 1]}") for stage, slot in order]
    for cell, (stage, slot) in zip(cells, order, strict=True):
        cell.click()
        source = check_plays(browser, stage, slot)
        film = run.videos / stage_name(stage) / f"{names[slot]}.mp4"
        assert source == film.resolve().as_uri() if videos == "link" else source.startswith("data:video/mp4;base64,")
        assert browser.one("#player-title").text == names[slot]
        assert f"after stage {stage}" in browser.one("#player-when").text
        browser.one("#close").click()
        browser.wait(lambda: not browser.one("dialog").is_displayed())
    asked = [address for address in browser.requests() if address.endswith(".mp4")]
    assert len(asked) >= 6 if videos == "link" else asked == []
    assert browser.complaints() == []


def test_films_are_reached_and_left_by_keyboard(one: Path, browser: Browser) -> None:
    browser.open(one)
    cell = browser.one('table.heat a[data-slot="0"]')
    browser.run("arguments[0].focus()", cell)
    cell.send_keys(Keys.ENTER)
    check_plays(browser, 1, 0)
    assert not browser.one("#earlier").is_enabled()
    browser.one("#later").send_keys(Keys.ENTER)
    check_plays(browser, 2, 0)
    browser.one("#later").send_keys(Keys.SPACE)
    check_plays(browser, 3, 0)
    assert not browser.one("#later").is_enabled()
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    browser.wait(lambda: not browser.one("dialog").is_displayed())
    assert browser.driver.switch_to.active_element == cell


def test_a_run_s_films_play_within_the_page_of_several(several: Path, browser: Browser) -> None:
    browser.open(several)
    summaries = browser.all("details.run > summary")
    assert [summary.find_element(By.CLASS_NAME, "name").text for summary in summaries] == [
        f"{method}-{seed}" for method, seed in MATRICES
    ]
    summaries[3].send_keys(Keys.ENTER)
    section = browser.all("details.run")[3]
    section.find_element(By.CSS_SELECTOR, 'a[data-when^="after stage 3"][data-slot="1"]').click()
    assert "/finetune-1/videos/stage_03/button-press.mp4" in check_plays(browser, 3, 1)


# Tables ----------------------------------------------------------------------------------------------------


def groups(browser: Browser) -> list[str]:
    rows = browser.all("table.sortable")[0].find_elements(By.CSS_SELECTOR, "tbody tr")
    return [str(row.get_attribute("data-group")) for row in rows]


def test_a_header_sorts_by_mouse_and_by_keyboard(several: Path, browser: Browser) -> None:
    # average success: ewc (0.85 + 0.9) / 2, progressive 0.7, finetune 0.47; forgetting the other way
    browser.open(several)
    headers = browser.all("table.sortable")[0].find_elements(By.CSS_SELECTOR, "thead button")
    by = {header.text: header for header in headers}
    assert groups(browser) == ["ewc", "finetune", "progressive"]

    by["Average success"].click()
    assert groups(browser) == ["ewc", "progressive", "finetune"]
    column = by["Average success"].find_element(By.XPATH, "..")
    assert column.get_attribute("aria-sort") == "descending"
    by["Average success"].send_keys(Keys.ENTER)
    assert groups(browser) == ["finetune", "progressive", "ewc"]
    assert column.get_attribute("aria-sort") == "ascending"
    by["Method"].send_keys(Keys.SPACE)
    assert groups(browser) == ["ewc", "finetune", "progressive"]
    assert column.get_attribute("aria-sort") is None
    assert browser.one("#spoken").get_attribute("textContent") == "Sorted by Method, ascending."
    by["Forgetting"].click()  # less is better: the best on top
    assert groups(browser) == ["progressive", "ewc", "finetune"]
    assert len(browser.all("table.sortable [aria-sort]")) == 1


# Light and dark --------------------------------------------------------------------------------------------

CONTRAST = """
const luminance = colour => {
  const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const page = luminance(getComputedStyle(document.body).backgroundColor);
const against = (element, property) => {
  const ink = luminance(getComputedStyle(element)[property]);
  return (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05);
};
const least = (selector, property) =>
  Math.min(...[...document.querySelectorAll(selector)].map(element => against(element, property)));
return {
  page, body: least("h1, h2, p", "color"), figures: least(".drawn text", "fill"),
  lines: least(".drawn path[style*='fill: none'][style*='--series']", "stroke"),
};
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_figures_stand_out_from_the_page(page: Path, theme: str, browser: Browser) -> None:
    browser.open(page, theme=theme)
    browser.show_all()
    seen = browser.run(CONTRAST)
    assert seen["page"] > 0.9 if theme == "light" else seen["page"] < 0.02
    # WCAG 2.2: 4.5 for text, 3 for what a figure must show.
    assert seen["body"] >= 4.5
    assert seen["figures"] >= 4.5
    assert seen["lines"] >= 3


# Names from elsewhere --------------------------------------------------------------------------------------

HOSTILE = (
    "</script><script>window.harmed=1</script>",
    "<img src=x onerror='window.harmed=1'>",
    '" onmouseover="window.harmed=1" autofocus onfocus="window.harmed=1',
)


def hostile_pages(folder: Path) -> list[Path]:
    alone = page_run(folder / "alone", list(HOSTILE[:2]))
    (alone / "environment.json").write_text(json.dumps(dict.fromkeys(HOSTILE, HOSTILE[0])))
    forge_manifest(alone)
    runs = []
    for seed, name in enumerate(("<img src=x onerror=window.harmed=1>", "javascript:window.harmed=1")):
        settings = {"method": "ewc", "seed": seed, "versions": {"numpy": HOSTILE[seed]}, "names": HOSTILE}
        run = made_up_run(folder / name, MATRICES["ewc", 0], **settings)
        write_video(run.videos / "stage_01" / f"{HOSTILE[1]}.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3)
        runs.append(run)
    return [write_report(alone), write_comparison(runs, folder / "several.html")]


def test_nothing_from_a_run_is_executed_or_loaded(browser: Browser, tmp_path: Path) -> None:
    for page in hostile_pages(tmp_path):
        browser.open(page)
        browser.show_all()
        assert HOSTILE[1] in browser.one("body").text  # it is shown, as text
        for cell in browser.all("table.heat a"):
            cell.click()
            browser.wait(lambda: browser.run("return document.getElementById('player').readyState >= 2"))
            browser.one("#close").click()
        assert browser.run("return window.harmed") is None
        assert browser.complaints() == []
        assert browser.all("img") == []
        asked = [address for address in browser.requests() if not address.startswith("data:")]
        assert [address for address in asked if not address.endswith((".html", ".mp4"))] == []


def test_a_script_that_is_not_the_page_s_own_does_not_run(one: Path, browser: Browser, tmp_path: Path) -> None:
    """The second lock: even where something were not escaped, the page's policy would stop it."""
    page = tmp_path / "tampered.html"
    page.write_text(one.read_text().replace("</main>", f"{HOSTILE[1]}<script>window.harmed=1</script></main>"))
    browser.open(page)
    assert browser.run("return window.harmed") is None
    assert any("Content Security Policy" in complaint for complaint in browser.complaints())
    assert browser.one("table.heat a").is_displayed()
