"""A browser to look at pages with: Debian's Chromium, without a window, and its driver."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["Browser", "Window", "browsing", "why_no_browser"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"

ARGUMENTS = (
    *(
        "--headless=new",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"),
)

FIND = """
function find(root, css) {
  const found = [...root.querySelectorAll(css)].find((one) => one.checkVisibility());
  if (found) return found;
  for (const one of root.querySelectorAll("*")) {
    const inside = one.shadowRoot && find(one.shadowRoot, css);
    if (inside) return inside;
  }
  return null;
}
return find(document, arguments[0]);
"""
"""Finds what can be seen, in what brings a tree of its own as well, as the toolbar does."""

PATIENCE = 30
"""Seconds after which what a page was to show counts as missing."""


def why_no_browser() -> str | None:
    """Return why there is no browser to test with, None if there is one."""
    if not any(map(shutil.which, BROWSERS)):
        return f"none of {', '.join(BROWSERS)} is installed"
    if not shutil.which(DRIVER):
        return f"{DRIVER} is not installed"
    return None if find_spec("selenium") else "the package selenium is not installed"


@contextmanager
def browsing() -> Iterator[Browser]:
    """Run a browser of our own, with nothing in it from before."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="cacheops-browser-", ignore_cleanup_errors=True) as home:
        # Root's Chromium starts in no other way; it sees no pages but ours.
        for argument in (*ARGUMENTS, "--no-sandbox", f"--user-data-dir={home}"):
            options.add_argument(argument)
        service = webdriver.ChromeService(shutil.which(DRIVER), env={**os.environ, "HOME": home})
        driver = webdriver.Chrome(options, service)
        try:
            driver.set_page_load_timeout(PATIENCE)
            driver.set_script_timeout(PATIENCE)
            yield Browser(driver)
        finally:
            driver.quit()


class Browser:
    """Windows that share their cookies."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self._is_fresh = True

    def open(self, url: str) -> Window:
        """Open a window at an address."""
        if self._is_fresh:
            self._is_fresh = False
        else:
            self.driver.switch_to.new_window("window")
        window = Window(self.driver, self.driver.current_window_handle)
        window.go(url)
        return window

    def errors(self) -> list[str]:
        """Return what went wrong on pages since the last time, as their consoles tell it."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def forget(self) -> None:
        """Close all windows but one, and lose all cookies."""
        first, *others = self.driver.window_handles
        for handle in others:
            self.driver.switch_to.window(handle)
            self.driver.close()
        self.driver.switch_to.window(first)
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self._is_fresh = True


class Window:
    """A window: what is asked of it is waited for."""

    def __init__(self, driver: Any, handle: str) -> None:
        self._driver = driver
        self._handle = handle

    @property
    def url(self) -> str:
        return str(self._here().current_url)

    def go(self, url: str) -> None:
        """Go to an address."""
        self._here().get(url)

    def find(self, css: str) -> Any:
        """Return an element that can be seen."""
        return self.wait(lambda driver: driver.execute_script(FIND, css), f"nothing at {css}")

    def fill(self, css: str, text: str) -> None:
        """Write into a field."""
        field = self.find(css)
        field.clear()
        field.send_keys(text)

    def show(self, css: str) -> Any:
        """Scroll to an element, and return it."""
        element = self.find(css)
        self._here().execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        return element

    def click(self, css: str) -> None:
        """Click at what can be seen."""
        self.show(css).click()

    def submit(self, css: str) -> None:
        """Click at what leads to another page, and wait for that."""
        self._here().execute_script("window.isOld = true")
        self.click(css)
        loaded = "return !window.isOld && document.readyState === 'complete'"
        self.wait(lambda driver: driver.execute_script(loaded), f"no page after {css}")

    def see(self, text: str, css: str = "body") -> None:
        """Wait until a text can be read."""
        self.wait(lambda driver: text in self.find(css).text, f"no {text!r} at {css}")

    def wait(self, until: Callable[[Any], Any], missing: str) -> Any:
        """Wait until something is so, and return it; fail with what is missing."""
        from selenium.common import StaleElementReferenceException
        from selenium.webdriver.support.wait import WebDriverWait

        driver = self._here()
        # Pages replace parts of themselves.
        waiting = WebDriverWait(driver, PATIENCE, 0.05, [StaleElementReferenceException])
        return waiting.until(until, missing)

    def photograph(self, path: Path, width: int, height: int) -> None:
        """Save a picture of the upper part of the page."""
        driver = self._here()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.execute_script("scrollTo(0, 0)")
        driver.save_screenshot(str(path))

    def _here(self) -> Any:
        if self._driver.current_window_handle != self._handle:
            self._driver.switch_to.window(self._handle)
        return self._driver
