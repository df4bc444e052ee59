"""The page of the stored lessons in a real browser: no network, no error, and nothing wider than a phone's screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pictures.lessons import stored
from producer.lessons.catalogue import lessons
from producer.report.lessons_page import lessons_page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The page, open on a phone; asking the network, or an error, fails the test."""
    file = tmp_path / "lessons.html"
    file.write_text(lessons_page(stored()), encoding="utf-8")
    context = browser.new_context(viewport=PHONE)
    opened, complaints = context.new_page(), list[str]()
    opened.on("request", lambda request: complaints.append(request.url))
    opened.on("console", lambda said: complaints.append(said.text))
    opened.goto(file.as_uri())
    yield opened
    assert complaints == [file.as_uri()]
    context.close()


def test_every_lesson_is_there_and_led_to(page: Page) -> None:
    for entry in lessons():
        page.get_by_role("link", name=f"{entry.lesson.order}. {entry.lesson.english}").click()
        assert page.locator(f"#{entry.name}").is_visible()


def test_nothing_is_wider_than_the_screen(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_picture_of_bars_has_marks_within_its_frame(page: Page) -> None:
    boxes = page.locator("svg rect").evaluate_all(
        "all => all.map(one => [one.getBoundingClientRect().right, one.ownerSVGElement.getBoundingClientRect().right])"
    )
    assert len(boxes) > 40
    assert all(right <= frame + 1 for right, frame in boxes)


def test_the_code_of_an_experiment_opens(page: Page) -> None:
    code = page.locator("section").first.locator("details")
    code.locator("summary").click()
    assert "def observe" in code.inner_text()
