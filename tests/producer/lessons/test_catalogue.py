"""The lessons that there are."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import pytest

from producer.lessons import experiments
from producer.lessons.catalogue import find, lessons, nearest

FILES = sorted(path for path in Path(experiments.__path__[0]).glob("*.py") if path.name != "__init__.py")
MOST_LINES, MEAN_LINES = 61, 54
"""The lines of an experiment's file that are not blank: the statement and everything else."""


def test_the_lessons_are_numbered_without_a_gap() -> None:
    assert [entry.lesson.order for entry in lessons()] == list(range(1, len(FILES) + 1))


def test_the_statements_of_the_textbook_come_first_and_in_its_words() -> None:
    textbook = [entry for entry in lessons() if entry.lesson.vietnamese]
    assert [entry.lesson.order for entry in textbook] == list(range(1, len(textbook) + 1))


@pytest.mark.parametrize("entry", lessons(), ids=lambda entry: entry.name)
def test_a_lesson_is_found_by_its_number_and_its_name(entry: object) -> None:
    assert find(entry.name) is entry
    assert find(str(entry.lesson.order)) is entry


def test_an_unknown_lesson_has_a_nearest_one() -> None:
    assert find("two-thread") is None
    assert nearest("two-thread") == "two-threads"
    assert nearest("zzz")


@pytest.mark.parametrize("entry", lessons(), ids=lambda entry: entry.name)
def test_a_lesson_is_whole(entry: object) -> None:
    lesson = entry.lesson
    assert lesson.guessed in lesson.measures
    assert lesson.question.endswith("?")
    for text in (lesson.english, lesson.tried, lesson.advice):
        assert text.endswith((".", "?"))


def test_an_experiment_is_short_enough_to_read() -> None:
    lines = {path.stem: sum(bool(line.strip()) for line in path.read_text().splitlines()) for path in FILES}
    assert max(lines.values()) <= MOST_LINES, lines
    assert mean(lines.values()) <= MEAN_LINES, lines
