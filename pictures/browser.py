"""The browser of this machine, headless; nothing is downloaded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import Error as PageError
from playwright.sync_api import sync_playwright

from producer.report.charts.files import BROWSERS, find_browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

__all__ = ["BrowserMissingError", "PageError", "find", "opened", "started"]

_NAMES = ", ".join(BROWSERS)
MISSING = f"no browser: none of {_NAMES} is on the PATH. Install Chromium, on Debian with: apt-get install chromium"
PATIENCE_MS = 120_000.0
"""The longest wait for something on a page. The machine may be busy."""


class BrowserMissingError(Exception):
    """The machine has no browser; the message says what to install."""


def find() -> str:
    """
    Return the path of the browser.

    Raises:
        BrowserMissingError: If there is no browser.
    """
    if path := find_browser():
        return path
    raise BrowserMissingError(MISSING)


@contextmanager
def started() -> Iterator[Browser]:
    """Start the browser, and end it afterwards."""
    path = find()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, address: str, login: tuple[str, str] | None = None) -> Iterator[Page]:
    """Open a page of its own on Flower, with or without the login; addresses are paths."""
    user = {"username": login[0], "password": login[1]} if login else None
    context = browser.new_context(
        base_url=address,
        http_credentials=user,  # type: ignore[arg-type] # a dict of just these two keys
        viewport={"width": 1100, "height": 900},
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    try:
        yield context.new_page()
    finally:
        context.close()
