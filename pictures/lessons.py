"""
Writes docs/lessons.md from the stored run of the lessons: `make lessons-page`.

To show a newer run: `poolrace lessons --all --out pictures/runs`, and put its lessons.json in place of the old one's.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from producer.errors import PoolraceError
from producer.report.lesson_pictures import in_characters
from producer.report.lessons import build_of, expectation, figures, from_json, machine_of, overview, sentence
from producer.report.markdown import as_markdown
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.lessons import LessonResult
    from producer.lessons.lesson import Entry
    from producer.report.lessons import LessonsRun

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "lessons.md"
COLUMNS = 120

HEAD = """# Lessons

Statements about processes, threads, the GIL, asynchronous order and locks, each tried on live Celery nodes or, where it
is about bare Python, on bare processes and threads. The first fifteen are those of a textbook on parallel computing in
Python, in its order and its words (Vietnamese); the others go beyond it.

    poolrace lessons                                        # the list
    poolrace lessons 7                                      # one, by its number or its name
    poolrace lessons lost-update --guess                    # asks for your guess first
    poolrace lessons --all                                  # all of them, about two minutes
    poolrace lessons --all --python python3.13 --python python3.14t

Each lesson says what it tried, what it saw, whether the statement is true, and what that means for a fleet. Figures are
medians of repetitions. The interval in brackets holds the median with 95 %; it is made of order statistics, and needs
six repetitions. A lesson repeats until the interval of its answer is narrow and its statement judged, or for 5 s.

What the machine cannot show is not judged: before each repetition two processes only count, and if they get less than
85 % of the two cores, because others use them, a lesson that needs two says so. A run leaves a folder with
`lessons.json` and `lessons.html`, a page with all pictures and the code of each experiment.

## Free-threaded Python

    poolrace doctor --python python3.14t
    poolrace doctor --python python3.14t --app shop.celery:app --workdir examples/shop
    poolrace lessons gil --python python3.14t --app shop.celery:app --workdir examples/shop
    poolrace race --lane prefork:2 --lane threads:2 --lane threads:2:python=/path/to/python3.14t --workload cpu

The first says whether an interpreter can run a node, and how to install what it lacks. The second and the third import
an app there with all its tasks, and then each extension module alone: they name every one that turns the GIL back on.
The last races prefork against threads on this interpreter and against threads on the free-threaded one.

## What was found

"""


def stored() -> LessonsRun:
    """Return the stored run of the lessons."""
    (path,) = (ROOT / "pictures" / "runs").glob("*-lessons/lessons.json")
    return from_json(path.read_bytes())


def page(run: LessonsRun) -> str:
    """Return the page of a run as Markdown, with lines of 120 columns but for tables and pictures."""
    (table,) = overview(run)
    assert isinstance(table, Table)
    parts = [HEAD + f"{table.title}: {machine_of(run)}", as_markdown([replace(table, title="", note="")])]
    for entry, results in run.by_lesson():
        parts += _lesson(entry, results)
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts)).strip() + "\n"


def _lesson(entry: Entry, results: Sequence[LessonResult]) -> Iterator[str]:
    statement = entry.lesson
    yield f"## {statement.order}. {statement.english}"
    if statement.vietnamese:
        yield _wrapped(f"> {statement.vietnamese}", "> ")
    for each in results:
        yield _wrapped(f"**{build_of(each)}**: {sentence(each)}")
    yield _wrapped(f"Tried: {statement.tried} {expectation(entry)}")
    if table := figures(entry, results):
        yield as_markdown([replace(table, title="", note="")])
    for each in results:
        if each.found is not None:
            picture = entry.picture(each.found)
            yield f"{picture.title}, {build_of(each)}:"
            yield "\n".join(["```text", *in_characters(picture), "```"])
    yield _wrapped(f"**In Celery**: {statement.advice}")
    file = f"producer/lessons/experiments/{entry.name.replace('-', '_')}.py"
    yield f"Code: [{file}](../{file})"


def _wrapped(text: str, indent: str = "") -> str:
    shown = text.replace("__", r"\_\_").replace("<", r"\<")
    return textwrap.fill(shown, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    """Write the page."""
    try:
        PAGE.write_text(page(stored()), encoding="utf-8")
    except PoolraceError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
