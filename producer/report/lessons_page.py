"""One page with what lessons found: statements, verdicts, pictures, figures, and the code of each experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from producer.errors import UsageError
from producer.files import replaced
from producer.lessons.catalogue import find
from producer.report.charts.page import own_file, templates
from producer.report.lesson_pictures import as_svg
from producer.report.lessons import build_of, expectation, figures, from_json, machine_of, sentence, to_json

if TYPE_CHECKING:
    from pathlib import Path

    from producer.report.lessons import LessonsRun


LESSONS, PAGE = "lessons.json", "lessons.html"
"""The files of a folder of lessons."""


def read_lessons(folder: Path) -> LessonsRun:
    """
    Read what lessons found from their folder.

    Raises:
        UsageError: If the file cannot be read, or has a lesson that this version does not know.
    """
    path = folder / LESSONS
    try:
        run = from_json(path.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"{path}: cannot be read: {error}. Run the lessons again: poolrace lessons.") from error
    if unknown := [each.lesson for each in run.results if find(each.lesson) is None]:
        raise UsageError(f"{path}: this version does not know its lesson {unknown[0]!r}. Run the lessons again.")
    return run


def write_lessons(run: LessonsRun, folder: Path) -> None:
    """Write `lessons.json` and the page `lessons.html` into a folder."""
    for name, text in ((LESSONS, to_json(run)), (PAGE, lessons_page(run))):
        with replaced(folder / name) as file:
            file.write(text.encode())


def lessons_page(run: LessonsRun) -> str:
    """Return the page as HTML, whole: style and pictures are in it, and it has no script."""
    return (
        templates()
        .get_template("lessons.html")
        .render(
            machine=machine_of(run),
            took=f"{run.took_s:.0f} s",
            lessons=[
                {
                    "entry": entry,
                    "expected": expectation(entry),
                    "said": [(build_of(each), each.judgement.verdict.value, sentence(each)) for each in results],
                    "figures": figures(entry, results),
                    "pictures": [
                        (build_of(each), entry.picture(each.found).title, as_svg(entry.picture(each.found)))
                        for each in results
                        if each.found is not None
                    ],
                }
                for entry, results in run.by_lesson()
            ],
            style=own_file("page.css"),
        )
    )
