"""The built site in a real browser: every page opens in silence, fetches nothing from elsewhere, and is found."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys
from support.browser import DESK, PHONE, Browser

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parent.parent.parent


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and tells nobody."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Where the site is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.driver.quit()


def test_every_page_opens_in_silence_and_asks_nobody_else(folder: Path, address: str, browser: Browser) -> None:
    pages = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.html")) if path.name != "404.html"]
    assert len(pages) > 45
    for n, page in enumerate(pages):
        # Each way of looking meets every third page, and all meet what is wide.
        wide = page in ("concepts.html", "tasks/index.html", "methods/index.html", "reference.html")
        for width, theme in ((DESK, "light"), (PHONE, "light"), (PHONE, "dark"))[0 if wide else n % 3 :][
            : 3 if wide else 1
        ]:
            browser.open(address + page, width, theme)
            assert browser.complaints() == [], page
            assert [asked for asked in browser.requests() if not asked.startswith((address, "data:"))] == [], page
            assert browser.fitting_width() <= width, (page, width)
            assert browser.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)"), page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_figures_stand_out(theme: str, address: str, browser: Browser) -> None:
    browser.open(address + "concepts.html", theme=theme)
    page, ink, figure = browser.run(
        """
        const luminance = colour => {
          const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ticks = [...document.querySelectorAll(".figure text")].filter(t => t.style.fill.includes("--quiet"));
        return [getComputedStyle(document.body).backgroundColor,
                getComputedStyle(document.querySelector(".md-typeset p")).color,
                getComputedStyle(ticks[0]).fill].map(luminance);
        """
    )
    assert page > 0.9 if theme == "light" else page < 0.05
    for seen in (ink, figure):
        assert (max(seen, page) + 0.05) / (min(seen, page) + 0.05) >= 4.5


@pytest.mark.parametrize("where", ["served", "from the disk"])
def test_search_finds_a_method_and_a_task(where: str, folder: Path, address: str, browser: Browser) -> None:
    start = f"{address}index.html" if where == "served" else folder / "index.html"
    for words, page in (("elastic weight consolidation", "methods/"), ("peg upright", "tasks/peg-insert")):
        browser.open(start)
        field = browser.one("input.md-search__input")
        browser.run("document.querySelector('[data-md-toggle=search]').click()")
        browser.wait(field.is_displayed)
        field.send_keys(words)
        browser.wait(lambda: browser.all(".md-search-result__link"))
        found = [str(link.get_attribute("href")) for link in browser.all(".md-search-result__link")]
        assert any(page in link for link in found[:3]), (words, found)
        field.send_keys(Keys.ESCAPE)
        assert browser.complaints() == []
