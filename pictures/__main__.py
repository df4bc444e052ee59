"""
Takes the pictures of docs/flower.md: `make screenshots`.

Starts a stack of its own, waits until jobs have run on both pools, takes Flower's pages in a headless browser, sends
more jobs than the pools can do, takes the pages that show it, and removes the stack. Needs Docker and Chromium.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pictures import browser
from pictures.stack import Stack, running

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
GENTLE = "10/s"
TOO_MUCH = ("--rate", "200/s", "--mix", "cpu=1")

BOTH_AT_WORK = """least => {
  const cells = [...document.querySelectorAll('#workers-table tbody tr')].map(row => row.cells);
  const number = cell => Number(cell.textContent.replaceAll(',', ''));
  return cells.length === 2 && cells.every(of => number(of[2]) > 0 && number(of[5]) >= least);
}"""
"""True once each of two workers runs a job and has done at least `least` jobs."""
BOTH_BEHIND = """least => {
  const cells = [...document.querySelectorAll('#queue-table tbody tr')].map(row => row.cells);
  return cells.length === 2 && cells.every(of => Number(of[1].textContent) >= least);
}"""
"""True once at least `least` jobs wait in each of two queues."""
BOTH_LISTED = """() => {
  const text = document.querySelector('#tasks-table tbody').textContent;
  return text.includes('prefork@') && text.includes('threads@');
}"""
MARGIN = 24
"""Space below the content, in pixels."""
MAX_RELOADS = 120
"""The most reloads of a page that does not refresh itself, one a second."""


def take(page: Page, name: str, at_most: int = 900) -> None:
    """Take a picture of the page, down to the end of its content or a number of pixels."""
    page.wait_for_function("() => [...document.images].every(image => image.complete && image.naturalWidth > 0)")
    ends = page.evaluate("document.querySelector('.page-section').lastElementChild.getBoundingClientRect().bottom")
    height = min(at_most, int(ends) + MARGIN)
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path, clip={"x": 0, "y": 0, "width": 1100, "height": height})
    print(f"{path.relative_to(FOLDER.parents[1])}  {path.stat().st_size / 1e3:.0f} kB")


def workers(page: Page, name: str, least: int) -> None:
    """Take the list of workers, once both work."""
    page.goto("/workers")
    page.wait_for_function(BOTH_AT_WORK, arg=least)
    take(page, name)


def pools(page: Page) -> None:
    """Take each worker's page about its pool."""
    page.goto("/workers")
    for pool in ("prefork", "threads"):
        page.locator(f"#workers-table a.worker-name-link[href*='{pool}']").click()
        page.locator("#tab-pool").get_by_text("Max concurrency").wait_for()
        take(page, f"pool-{pool}")
        page.go_back()


def tasks(page: Page) -> None:
    """Take the list of the last jobs, once it has both pools."""
    page.goto("/tasks")
    page.wait_for_function(BOTH_LISTED)
    take(page, "tasks", at_most=560)


def queues(page: Page, least: int) -> None:
    """Take the page of the queues, once jobs wait in both; this page does not refresh itself."""
    page.goto("/broker")
    for _ in range(MAX_RELOADS):
        if page.evaluate(BOTH_BEHIND, least):
            break
        page.wait_for_timeout(1000)
        page.reload()
    else:
        sys.exit(f"no {least} jobs wait in both queues: this machine keeps up with {' '.join(TOO_MUCH)}")
    take(page, "broker-behind")


def main() -> None:
    """Take all pictures, and remove everything else."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        browser.find()
    except browser.BrowserMissingError as error:
        sys.exit(str(error))
    FOLDER.mkdir(exist_ok=True)
    with running(Stack(rate=GENTLE)) as stack, browser.started() as opened:
        with browser.opened(opened, stack.address, stack.login()) as page:
            workers(page, "workers", 100)
            pools(page)
            tasks(page)
            stack.set_load(*TOO_MUCH)
            queues(page, 200)
            workers(page, "workers-behind", 500)


if __name__ == "__main__":
    main()
