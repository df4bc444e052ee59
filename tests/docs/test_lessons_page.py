"""The page of the lessons is that of the stored run, and has every lesson."""

from __future__ import annotations

import re

from pictures.lessons import PAGE, page, stored
from producer.lessons.catalogue import lessons
from producer.lessons.lesson import Verdict


def test_the_page_is_that_of_the_stored_run() -> None:
    assert PAGE.read_text() == page(stored())


def test_the_stored_run_has_every_lesson_and_shows_each_in_some_interpreter() -> None:
    found = {entry.name: results for entry, results in stored().by_lesson()}
    assert list(found) == [entry.name for entry in lessons()]
    assert [name for name, results in found.items() if not any(each.shown for each in results)] == []


def test_the_stored_run_judges_as_the_experiments_expect() -> None:
    for entry, results in stored().by_lesson():
        for each in results:
            assert each.python is not None
            expected = entry.lesson.expected[each.python.free_threaded]
            assert each.judgement.verdict in {expected, Verdict.NOT_SHOWN}, entry.name


def test_the_page_has_the_statements_of_the_textbook_in_its_words() -> None:
    text = re.sub(r"\s+", " ", PAGE.read_text().replace("\n> ", " "))
    for entry in lessons():
        assert entry.lesson.vietnamese in text
