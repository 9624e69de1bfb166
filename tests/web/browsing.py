"""Drives Chromium with selenium."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from running import PATIENCE
from wires import need

pytest.importorskip("selenium")

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

#: Records violations of the Content-Security-Policy.
_RECORD_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""

_AXE = """
const done = arguments[0];
axe.run(document, {resultTypes: ["violations"]}).then(
  (results) => done(results.violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`))),
  (error) => done([String(error)]),
);
"""


class Chromium:
    """A browser with one window.

    :param directory: for its profile.
    :param width: of the window, in pixels.
    """

    def __init__(self, directory: Path, width: int = 1280) -> None:
        need("chromium", "chromedriver")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            f"--user-data-dir={directory}",
            f"--window-size={width},900",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_script_timeout(PATIENCE)
        self.before_scripts(_RECORD_VIOLATIONS)
        # without the requests of the page for new tabs
        self.driver.get("about:blank")
        self.requests()

    def close(self) -> None:
        self.driver.quit()

    def before_scripts(self, script: str) -> str:
        """Run a script in each document before its own; return a name for ``cdp``."""
        made = self.cdp("Page.addScriptToEvaluateOnNewDocument", source=script)
        return str(made["identifier"])

    def cdp(self, command: str, **values: Any) -> dict[str, Any]:
        """Run a command of the Chrome DevTools Protocol."""
        found: dict[str, Any] = self.driver.execute_cdp_cmd(command, values)
        return found

    def scheme(self, scheme: str, media: str = "") -> None:
        """Prefer ``light`` or ``dark``, on ``screen`` or ``print``; empty = no preference."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.cdp("Emulation.setEmulatedMedia", media=media, features=[feature])

    def resize(self, width: int, height: int = 900) -> None:
        """Set the size of the viewport."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all matching elements, hidden ones too."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)",
            selector,
        )
        return found

    def until(self, found: Callable[[], Any], reason: str = "") -> Any:
        """Wait for a result that is true. The page may replace elements meanwhile."""
        waiting = WebDriverWait(
            self.driver,
            PATIENCE,
            poll_frequency=0.05,
            ignored_exceptions=(StaleElementReferenceException, IndexError),
        )
        return waiting.until(lambda _: found(), reason)

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def keys(self, *keys: str) -> None:
        """Press keys on what has the focus."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, modifier: str, key: str) -> None:
        """Press a key while a modifier is held."""
        chain = webdriver.ActionChains(self.driver)
        chain.key_down(modifier).send_keys(key).key_up(modifier).perform()

    def errors(self) -> list[str]:
        """Return new entries of the console, except WebSockets that could not connect."""
        log = [entry["message"] for entry in self.driver.get_log("browser")]
        return [each for each in log if "WebSocket connection to" not in each]

    def violations(self) -> list[str]:
        """Return the reports of the Content-Security-Policy in this document."""
        found: list[str] = self.run("return window.violations")
        return found

    def requests(self) -> list[str]:
        """Return the URLs of new requests, WebSockets included."""
        urls = []
        for entry in self.driver.get_log("performance"):
            message: Mapping[str, Any] = json.loads(entry["message"])["message"]
            parameters = message["params"]
            if message["method"] == "Network.requestWillBeSent":
                urls.append(parameters["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                urls.append(parameters["url"])
        return urls

    def foreign_requests(self) -> list[str]:
        """Return the URLs of new requests to other hosts or ports than the document's."""
        own = urlsplit(self.driver.current_url).netloc
        return [url for url in self.requests() if urlsplit(url).netloc != own]

    def serious_problems(self, axe: str) -> list[str]:
        """Return what axe-core finds to be serious or critical.

        :param axe: its source.
        """
        self.run(axe)
        found: list[str] = self.driver.execute_async_script(_AXE)
        return found

    def overflow(self) -> list[str]:
        """Return the elements that make the page wider than the window."""
        found: list[str] = self.run("""
            const room = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= room
                && document.body.scrollWidth <= room) return [];
            return [...document.querySelectorAll("body *")]
              .filter((each) => each.getBoundingClientRect().right > room + 0.5)
              .map((each) => each.outerHTML.slice(0, 80));
            """)
        return found


def axe_source() -> str:
    """Return the source of axe-core; skip the test if it is not installed."""
    for directory in os.environ.get("NODE_PATH", "").split(os.pathsep):
        path = Path(directory, "axe-core", "axe.min.js")
        if directory and path.is_file():
            return path.read_text("utf-8")
    pytest.skip("axe-core is not in NODE_PATH (npm install axe-core)")
