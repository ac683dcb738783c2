"""A headless Chromium, for the tests that look at pages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

DESK, PHONE = 1280, 390  # pixels, the width of a window


class Browser:
    """A headless Chromium that remembers what it asked for and what it complained about."""

    def __init__(self, profile: Path) -> None:
        binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
        assert binary, "these tests need a browser: apt-get install chromium"
        assert driver, "these tests need the browser's driver: apt-get install chromium-driver"
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        flags = """
            headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking
            disable-component-update disable-sync mute-audio
        """
        for flag in [*flags.split(), f"user-data-dir={profile}"]:
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))

    def open(self, page: Path | str, width: int = DESK, theme: str = "light") -> None:
        """Load a page, by its file or address, in a window of this width."""
        self.driver.get("about:blank")
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get(page if isinstance(page, str) else page.resolve().as_uri())

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def run(self, script: str, *args: Any) -> Any:
        return self.driver.execute_script(script, *args)

    def wait(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 20, poll_frequency=0.05).until(lambda _: condition())

    def show_all(self) -> None:
        """Open what is folded away."""
        self.run("for (const part of document.querySelectorAll('details')) part.open = true")

    def fitting_width(self) -> int:
        """The width that the page takes, sideways scrolling included."""
        return int(self.run("return document.documentElement.scrollWidth"))

    def complaints(self) -> list[str]:
        """What the console got since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The address of everything that was asked for since the page was opened."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        return [address for address in sent if address != "about:blank"]
