"""
Draws the pictures of README.md and writes its report, from the race and the sweep in pictures/runs: `make pictures`.

Needs Chromium. To show newer runs, put their directories there in place of the old ones, without report.html and logs.
"""

from __future__ import annotations

import re
import textwrap
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from producer.analysis.summary import summarise
from producer.errors import PoolraceError
from producer.report.charts.files import export
from producer.report.charts.gallery import pictures_of
from producer.report.document import document
from producer.report.plain import plain
from producer.report.terminal import show
from producer.rundir.reader import read_run

if TYPE_CHECKING:
    from producer.report.charts.picture import Picture

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "pictures" / "runs"
README = ROOT / "README.md"
FOLDER = ROOT / "docs" / "pictures"
COLUMNS = 120

SHOWN = {"race": ("verdict", "spectrum", "lanes"), "sweep": ("throughput",)}
"""The keys of the pictures that README.md shows, by kind of run."""


def stored(kind: str) -> Path:
    """Return the directory of the one stored run of a kind."""
    (path,) = RUNS.glob(f"*-{kind}-*")
    return path


@cache
def shown() -> tuple[Picture, ...]:
    """Return the pictures that README.md shows, in its order."""
    return tuple(
        picture
        for kind, keys in SHOWN.items()
        for path in [stored(kind)]
        for picture in pictures_of(plain(summarise(read_run(path))), read_run(path))
        if picture.key in keys
    )


def filled(readme: str) -> str:
    """Return README.md with the report and pictures of the stored runs between its marks."""
    report = StringIO()
    show(document(summarise(read_run(stored("race")))), stored("race").name, report)
    lines = "\n".join(line.rstrip() for line in report.getvalue().splitlines())
    parts = {"verdict": f"```text\n{lines}\n```", "pictures": "\n\n".join(map(_embedded, shown()))}
    for mark, part in parts.items():
        between = re.compile(f"(?<=<!-- {mark} -->\n).*(?=<!-- /{mark} -->)", re.DOTALL)
        readme = between.sub(lambda _, part=part: f"{part}\n", readme)  # type: ignore[misc]
    return readme


def _embedded(picture: Picture) -> str:
    words = textwrap.fill(f"{picture.shows} {picture.reads}", COLUMNS, break_long_words=False, break_on_hyphens=False)
    return f"![{picture.title}](docs/pictures/{picture.key}.png)\n\n{words}"


def main() -> int:
    """Draw the pictures and write README.md; return the exit code."""
    try:
        files = export(shown(), FOLDER, "png")
    except PoolraceError as error:
        print(f"make pictures: {error}")
        return error.exit_code
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
    for file in files:
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size / 1e3:.0f} kB")
    print(f"{README.name}  its report and pictures")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
