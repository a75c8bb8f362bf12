"""A real headless browser for the tests of pages."""

import atexit
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver here")


@cache
def _driver():
    """The one browser of this process: it starts once, and ends with it."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                     "--disable-background-networking"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    atexit.register(driver.quit)
    driver.set_script_timeout(60)
    return driver


@contextmanager
def browser(width: int = 1400, height: int = 900) -> Iterator:
    """A headless Chromium with one empty tab, driven by selenium; it asks nobody but the page."""
    driver = _driver()
    driver.set_window_size(width, height)
    complaints(driver)  # of pages before
    try:
        yield driver
    finally:
        first, *others = driver.window_handles
        for handle in others:
            driver.switch_to.window(handle)
            driver.close()
        driver.switch_to.window(first)
        driver.get("about:blank")


def wait_for(driver, script: str, seconds: float = 60):
    """Wait until a script returns something true; returns it."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds, 0.05).until(lambda d: d.execute_script(f"return {script}"))


def complaints(driver) -> list[str]:
    """What the browser's console says of errors."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
