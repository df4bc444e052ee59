"""One page with what lessons found: statements, verdicts, pictures, figures, and the code of each experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.files import replaced
from producer.report.charts.page import own_file, templates
from producer.report.lesson_pictures import as_svg
from producer.report.lessons import build_of, expectation, figures, machine_of, sentence, to_json

if TYPE_CHECKING:
    from pathlib import Path

    from producer.report.lessons import LessonsRun


def write_lessons(run: LessonsRun, folder: Path) -> None:
    """Write `lessons.json` and the page `lessons.html` into a folder."""
    for name, text in (("lessons.json", to_json(run)), ("lessons.html", lessons_page(run))):
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
