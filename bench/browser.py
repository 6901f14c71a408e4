"""A Chromium without a screen, for pictures and tests of the status page."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from selenium import webdriver
from selenium.webdriver.chrome.service import Service as Driver

from bench.processes import Unavailable

#: It may run as root and in a container, and talks to nobody but who is asked for.
OPTIONS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


@contextmanager
def chromium(width: int, height: int) -> Iterator[webdriver.Chrome]:
    """Run Chromium with a fresh profile, which is removed afterwards.

    Its logs "browser" and "performance" have what the page has printed and what it has asked for.

    :param width: of the window, in pixels.
    :raises Unavailable: if it is not installed.
    """
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        raise Unavailable("chromium and chromedriver are wanted; Debian has them as chromium and chromium-driver")
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for option in (*OPTIONS, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # Without a path it would look for a driver in the network; with keep_alive it keeps a socket open.
        browser = webdriver.Chrome(options=options, service=Driver(executable_path=driver), keep_alive=False)
        try:
            yield browser
        finally:
            browser.quit()


def show_in(browser: webdriver.Chrome, width: int, height: int, scheme: str = "light", motion: str = "reduce") -> None:
    """Show pages as on a screen of a size, in pixels, with a user's preferences.

    :param scheme: ``light`` or ``dark``.
    :param motion: ``reduce`` or ``no-preference``.
    """
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    preferences = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
    features = [{"name": name, "value": value} for name, value in preferences.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
