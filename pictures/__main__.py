"""
Takes the pictures of docs/flower.md: `make screenshots`.

Starts a stack of its own, waits until jobs have run on both pools, takes Flower's pages in a browser without a window,
sends more than the pools can do, takes those pages that tell, and removes the stack. Needs Docker and Chromium.
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
"""Whether each of two workers is running a job and has succeeded with so many."""
BOTH_BEHIND = """least => {
  const cells = [...document.querySelectorAll('#queue-table tbody tr')].map(row => row.cells);
  return cells.length === 2 && cells.every(of => Number(of[1].textContent) >= least);
}"""
"""Whether so many jobs wait in each of two queues."""
BOTH_LISTED = """() => {
  const text = document.querySelector('#tasks-table tbody').textContent;
  return text.includes('prefork@') && text.includes('threads@');
}"""
MARGIN = 24
"""Below the content, in pixels."""
PATIENCE = 120
"""How often to look at a page that does not renew itself, once a second."""


def take(page: Page, name: str, at_most: int = 900) -> None:
    """Write what the page shows, down to the end of its content or so many pixels."""
    page.wait_for_function("() => [...document.images].every(image => image.complete && image.naturalWidth > 0)")
    ends = page.evaluate("document.querySelector('.page-section').lastElementChild.getBoundingClientRect().bottom")
    height = min(at_most, int(ends) + MARGIN)
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path, clip={"x": 0, "y": 0, "width": 1100, "height": height})
    print(f"{path.relative_to(FOLDER.parents[1])}  {path.stat().st_size / 1e3:.0f} kB")


def workers(page: Page, name: str, least: int) -> None:
    """The list of workers, once both are at work."""
    page.goto("/workers")
    page.wait_for_function(BOTH_AT_WORK, arg=least)
    take(page, name)


def pools(page: Page) -> None:
    """What each worker says of its pool."""
    page.goto("/workers")
    for pool in ("prefork", "threads"):
        page.locator(f"#workers-table a.worker-name-link[href*='{pool}']").click()
        page.locator("#tab-pool").get_by_text("Max concurrency").wait_for()
        take(page, f"pool-{pool}")
        page.go_back()


def tasks(page: Page) -> None:
    """The last jobs, of both pools."""
    page.goto("/tasks")
    page.wait_for_function(BOTH_LISTED)
    take(page, "tasks", at_most=560)


def queues(page: Page, least: int) -> None:
    """What waits, once some does; this page does not renew itself."""
    page.goto("/broker")
    for _ in range(PATIENCE):
        if page.evaluate(BOTH_BEHIND, least):
            break
        page.wait_for_timeout(1000)
        page.reload()
    else:
        sys.exit(f"no {least} jobs wait in both queues: this machine keeps up with {' '.join(TOO_MUCH)}")
    take(page, "broker-behind")


def main() -> None:
    """Take all pictures, and leave nothing but them."""
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
            stack.send(*TOO_MUCH)
            queues(page, 200)
            workers(page, "workers-behind", 500)


if __name__ == "__main__":
    main()
