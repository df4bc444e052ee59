"""
Draws the pictures of README.md and docs/a-race.md, and fills in their reports, from pictures/runs: `make pictures`.

Needs Chromium. To show newer runs, put their directories there in place of the old ones, without report.html and logs.
"""

from __future__ import annotations

import re
import textwrap
from functools import cache
from io import StringIO
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from producer.analysis.summary import summarise
from producer.errors import PoolraceError
from producer.report.charts.files import export
from producer.report.charts.gallery import pictures_of
from producer.report.document import document
from producer.report.first_screen import closing, first_screen
from producer.report.terminal import show, show_first
from producer.rundir.reader import read_run

if TYPE_CHECKING:
    from producer.report.charts.picture import Picture

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "pictures" / "runs"
PAGES = (ROOT / "README.md", ROOT / "docs" / "a-race.md")
"""The pages that have a report or pictures between marks."""

FOLDER = ROOT / "docs" / "pictures"
COLUMNS = 120

SHOWN = {"race": ("verdict", "spectrum", "lanes"), "sweep": ("throughput",)}
"""The keys of the pictures that are shown, by kind of run."""


def stored(kind: str) -> Path:
    """Return the directory of the one stored run of a kind."""
    (path,) = RUNS.glob(f"*-{kind}-*")
    return path


@cache
def shown() -> tuple[Picture, ...]:
    """Return the pictures that are shown, in order."""
    return tuple(
        picture
        for kind, keys in SHOWN.items()
        for path in [stored(kind)]
        for picture in pictures_of(summarise(read_run(path)), read_run(path))
        if picture.key in keys
    )


def filled(text: str, folder: str) -> str:
    """
    Fill in the reports and pictures of the stored runs between the marks of a page.

    Args:
        text: The page.
        folder: Where its pictures are, from the page.
    """
    first, *_ = embedded = [_embedded(picture, folder) for picture in shown()]
    parts = {
        "verdict": _whole(),
        "answer": _first_screen(),
        "pictures": "\n\n".join(embedded),
        "picture": first,
    }
    for mark, part in parts.items():
        between = re.compile(f"(?<=<!-- {mark} -->\n).*(?=<!-- /{mark} -->)", re.DOTALL)
        text = between.sub(lambda _, part=part: f"{part}\n", text)  # type: ignore[misc]
    return text


def _first_screen() -> str:
    """Return what `poolrace report` prints of the stored race, as if it were in `runs`."""
    stream, path = StringIO(), stored("race")
    summary = summarise(read_run(path))
    show_first(lambda cut: first_screen(summary, PurePath("runs") / path.name, cut, has_page=True), stream)
    return _quoted(stream)


def _whole() -> str:
    """Return what `poolrace report --full` prints of it."""
    stream, path = StringIO(), stored("race")
    summary = summarise(read_run(path))
    show([*document(summary), closing(summary, PurePath("runs") / path.name, has_page=True, whole=True)], stream)
    return _quoted(stream)


def _quoted(stream: StringIO) -> str:
    lines = stream.getvalue().strip("\n")
    return f"```text\n{lines}\n```"


def _embedded(picture: Picture, folder: str) -> str:
    words = textwrap.fill(f"{picture.shows} {picture.reads}", COLUMNS, break_long_words=False, break_on_hyphens=False)
    return f"![{picture.title}]({folder}/{picture.key}.png)\n\n{words}"


def fill_all() -> dict[Path, str]:
    """Return every page as it should be."""
    found = {}
    for page in PAGES:
        folder = FOLDER.relative_to(page.parent).as_posix()
        found[page] = filled(page.read_text(encoding="utf-8"), folder)
    return found


def main() -> int:
    """Draw the pictures and fill in the pages; return the exit code."""
    try:
        files = export(shown(), FOLDER, "png")
    except PoolraceError as error:
        print(f"make pictures: {error}")
        return error.exit_code
    for page, text in fill_all().items():
        page.write_text(text, encoding="utf-8")
    for file in files:
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size / 1e3:.0f} kB")
    print(f"{', '.join(page.name for page in PAGES)}  reports and pictures")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
