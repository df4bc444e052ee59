"""What people see of Flower in a browser: nothing without the login, both pools with it, no way to change them."""

import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response

from pictures import browser
from pictures.stack import free_port

PAGE = Path(__file__).parents[2] / "docs" / "flower.md"
POOLS = ("prefork", "threads")

COUNTS = """() => Object.fromEntries([...document.querySelectorAll('#workers-table tbody tr')]
  .filter(row => row.cells.length > 5).map(row => [row.cells[0].textContent.split('@')[0].trim(),
  Number(row.cells[5].textContent.replaceAll(',', ''))]))"""
"""Pool -> jobs succeeded, as the list of workers shows them."""
GROWN = f"before => {{ const now = ({COUNTS})(); return ['prefork', 'threads'].every(of => now[of] > before[of]) }}"
CONTROLS = ("#worker-shutdown", "#worker-pool-restart", "#worker-pool-grow", "#worker-pool-shrink")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; skipped where there is none, unless there must be one."""
    try:
        browser.find()
    except browser.BrowserMissingError as error:
        if os.environ.get("POOLRACE_BROWSER") == "required":
            pytest.fail(str(error))
        pytest.skip(str(error))
    with browser.started() as running:
        yield running


@pytest.fixture(scope="module")
def login(stack: Any) -> tuple[str, str]:
    found: tuple[str, str] = stack.login()
    return found


@pytest.fixture
def page(stack: Any, chromium: Browser, login: tuple[str, str]) -> Iterator[Page]:
    """A window onto Flower, logged in."""
    with browser.opened(chromium, address(stack.flower), login) as page:
        yield page


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@contextmanager
def flower_that_may_change_things(stack: Any) -> Iterator[int]:
    """A second Flower on the same broker, with its buttons; gives its port."""
    port = free_port()
    words = ("--no-deps", "--publish", f"127.0.0.1:{port}:5555", "--env", "FLOWER_READ_ONLY=false", "flower")
    container = stack.compose("run", "--rm", "--detach", *words).stdout.split()[-1]
    try:
        yield port
    finally:
        subprocess.run(["docker", "stop", container], check=True, capture_output=True)


def until_it_answers(page: Page, path: str) -> None:
    """
    Go there as soon as that works; a Flower that has just begun may not know all workers yet. Then by way of `/`: a
    browser sends the login unasked only below where it has been asked for it, and Flower's API does not ask.
    """
    for _ in range(240):
        try:
            answer = page.goto(path)
            if answer and answer.status == 200:
                page.goto("/")
                page.goto(path)
                return
        except browser.PageError:
            pass
        page.wait_for_timeout(500)
    pytest.fail(f"{path} did not come up")


def worker_named(page: Page, pool: str) -> str:
    """The whole name of a pool's worker, from the list."""
    page.goto("/workers")
    link = page.locator(f"#workers-table a.worker-name-link[href*='{pool}']")
    return "".join(link.inner_text().split())


def both_go_on(page: Page) -> None:
    """Wait until both pools have succeeded with jobs more than now."""
    page.goto("/workers")
    page.wait_for_function(f"() => Object.keys(({COUNTS})()).length > 1")
    page.wait_for_function(GROWN, arg=page.evaluate(COUNTS))


def answer_to_click(page: Page, button: str) -> Response:
    """What Flower answers to the request that a button of its page sends."""
    with page.expect_response(lambda of: of.request.method == "POST") as answered:
        page.evaluate("id => document.querySelector(id).click()", button)
    return answered.value


@pytest.mark.parametrize("user", [None, ("admin", "admin"), ("poolrace", "wrong")])
@pytest.mark.parametrize("path", ["/", "/workers", "/tasks", "/broker", "/api/workers"])
def test_nobody_sees_a_page_without_the_login(
    stack: Any, chromium: Browser, path: str, user: tuple[str, str] | None
) -> None:
    with browser.opened(chromium, address(stack.flower), user) as page:
        statuses: list[int] = []
        page.on("response", lambda response: statuses.append(response.status))
        with suppress(browser.PageError):  # Chromium calls some refusals an error, and shows a page of its own
            page.goto(path)
        assert set(statuses) == {401}
        assert "@" not in page.locator("body").inner_text()


def test_the_list_of_workers_shows_both_pools_and_their_counts_grow(page: Page) -> None:
    both_go_on(page)
    assert sorted(page.evaluate(COUNTS)) == list(POOLS)
    assert page.locator("#workers-table tbody").get_by_text("Online").count() == 2


def test_the_tasks_of_both_pools_are_listed(page: Page) -> None:
    page.goto("/tasks")
    for pool in POOLS:
        page.locator("#tasks-table tbody").get_by_text(re.compile(f"{pool}@")).first.wait_for()
    named = re.findall(r"(\w+)@", page.locator("#tasks-table tbody").inner_text())
    assert set(named) == set(POOLS)


def test_the_broker_s_page_lists_both_queues_and_hides_the_password(page: Page, login: tuple[str, str]) -> None:
    page.goto("/broker")
    assert [text.split()[0] for text in page.locator("#queue-table tbody tr").all_inner_texts()] == list(POOLS)
    assert "redis://poolrace:**@" in page.locator(".broker-url").inner_text()


@pytest.mark.parametrize(("pool", "implementation"), [("prefork", "prefork:TaskPool"), ("threads", "thread:TaskPool")])
def test_a_worker_s_page_tells_its_pool_and_slots_and_has_no_button_that_changes_them(
    page: Page, pool: str, implementation: str
) -> None:
    page.goto(f"/worker/{worker_named(page, pool)}")
    shown = page.locator("#tab-pool").inner_text()
    assert implementation in shown
    assert re.search(r"Max concurrency\s+4\b", shown)
    assert [button for button in CONTROLS if page.locator(button).count()] == []


@pytest.mark.parametrize("pool", POOLS)
def test_buttons_of_a_page_from_before_are_refused_in_read_only_mode(
    stack: Any, chromium: Browser, login: tuple[str, str], page: Page, pool: str
) -> None:
    """The page comes from a Flower that has buttons; they are clicked in a window onto the one that is read-only."""
    name = worker_named(page, pool)
    with flower_that_may_change_things(stack) as port, browser.opened(chromium, address(port), login) as other:
        until_it_answers(other, f"/worker/{name}")
        with_buttons = other.content()
    page.route(f"**/worker/{name}", lambda route: route.fulfill(body=with_buttons, content_type="text/html"))
    page.goto(f"/worker/{name}")
    for button in CONTROLS:
        answer = answer_to_click(page, button)
        assert (answer.status, name in answer.url) == (403, True), button
        assert "Read only mode is enabled" in answer.text(), button
    both_go_on(page)
    assert worker_named(page, pool) == name


def test_revoking_is_refused_in_read_only_mode(page: Page) -> None:
    """With Flower's own scripts, which know how it wants a request to be."""
    page.goto("/tasks")
    task = page.locator("#tasks-table a[href*='/task/']").first.get_attribute("href")
    assert task is not None
    send = "path => new Promise(end => $.post(path).always((a, b, c) => end((a.status ? a : c).status)))"
    assert page.evaluate(send, f"/api{task}".replace("/task/", "/task/revoke/")) == 403


def test_the_buttons_work_where_flower_is_told_that_they_may(
    stack: Any, chromium: Browser, login: tuple[str, str], page: Page
) -> None:
    """So it is the read-only mode that refuses them above, and no mistake in the request."""
    name = worker_named(page, "prefork")
    with flower_that_may_change_things(stack) as port, browser.opened(chromium, address(port), login) as other:
        until_it_answers(other, f"/worker/{name}")
        assert answer_to_click(other, "#worker-pool-grow").status == 200
        assert answer_to_click(other, "#worker-pool-shrink").status == 200


def test_every_metric_that_the_page_on_flower_names_is_served(stack: Any, page: Page) -> None:
    both_go_on(page)
    with urllib.request.urlopen(f"{address(stack.flower)}/metrics", timeout=30) as answer:
        served = answer.read().decode()
    served += stack.metrics()
    named = set(re.findall(r"\b(?:flower|poolrace)_[a-z_]+\b", PAGE.read_text()))
    assert len(named) > 5
    assert named - set(re.findall(r"^(\w+)", served, re.MULTILINE)) == set()
