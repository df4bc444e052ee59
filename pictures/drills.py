"""
Writes docs/drills.md from the stored run of the drills: `make drills-page`.

To show a newer run: `python -m pictures.drills runs/…-drills` stores it, without what ran where, and writes the page.
Of several runs, a later one replaces the drills that it has of the first, cell by cell.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from poolrace.pools import POOLS
from poolrace.profiles import PROFILES, SAFE
from producer.plan.drill import cells
from producer.report.drills import DrillsRun, drill, machine_of, matrix, to_json
from producer.report.markdown import as_markdown
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.drill import CellResult
    from producer.measure.drill import Entry

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "pictures" / "runs"
PAGE = ROOT / "docs" / "drills.md"
HEAD = ROOT / "pictures" / "drills.head.md"
COLUMNS = 120
ORDER = [cell.name for cell in cells(tuple(POOLS))]


def stored() -> DrillsRun:
    """Return the stored run of the drills."""
    (path,) = RUNS.glob("*-drills/drills.json")
    return msgspec.json.decode(path.read_bytes(), type=DrillsRun)


def store(folders: Sequence[Path]) -> None:
    """Store a run in place of the old one; of several, each with the cells of drills that no later one has."""
    runs = [msgspec.json.decode((folder / "drills.json").read_bytes(), type=DrillsRun) for folder in folders]
    run = runs[0]
    for other in runs[1:]:
        again = {(each.drill, each.cell) for each in other.results}
        left = [each for each in run.results if (each.drill, each.cell) not in again]
        results = sorted([*left, *other.results], key=lambda each: (each.drill, ORDER.index(each.cell)))
        run = replace(run, results=results, took_s=run.took_s + other.took_s)
    for old in RUNS.glob("*-drills"):
        shutil.rmtree(old)
    kept = RUNS / folders[0].resolve().name
    kept.mkdir()
    (kept / "drills.json").write_text(to_json(replace(run, results=[replace(each, runs=()) for each in run.results])))


def page(run: DrillsRun) -> str:
    """Return the page of a run as Markdown, with lines of 120 columns but for tables."""
    parts = [
        HEAD.read_text(encoding="utf-8").replace("<!-- profile -->", _profile()),
        _wrapped(
            f"Jobs lost, failed, set aside, that never came to an end, or ran again. {machine_of(run)} CPython 3.11."
        ),
    ]
    for part in matrix(run):
        if isinstance(part, Table):
            parts += [f"### On {part.title}", as_markdown([replace(part, title="", note="")])]
        elif isinstance(part, Prose):
            parts += [f"### {part.title}", *(_wrapped(f"- {line}") for line in part.lines)]
    for entry, results in run.by_drill():
        parts += _drill(entry, results)
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts)).strip() + "\n"


def _profile() -> str:
    rows = [
        f"| `{each.name}` | `{each.value}` | {each.where.value} | {each.because} | [{each.drill}](#{each.drill}) |"
        for each in PROFILES[SAFE]
    ]
    return "\n".join(["| setting | value | of | without it | drill that shows it |", "|---|---|---|---|---|", *rows])


def _drill(entry: Entry, results: Sequence[CellResult]) -> Iterator[str]:
    yield f"## {entry.name}"
    for part in drill(entry, results):
        if isinstance(part, Table):
            yield as_markdown([replace(part, title="", note="")])
        elif part.title == entry.name:
            yield _wrapped(" ".join(part.lines))
        elif part.title == "Promised":
            yield _wrapped(f"**Promised**: {part.lines[0]}")
        else:
            yield "\n".join(["```text", *part.lines, "```"])
    file = f"producer/measure/drills/{entry.name.replace('-', '_')}.py"
    yield f"Code: [{file}](../{file})"


def _wrapped(text: str) -> str:
    return textwrap.fill(text.replace("<", r"\<"), COLUMNS, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    """Store the run that is named, if one is, and write the page."""
    if len(sys.argv) > 1:
        store([Path(each) for each in sys.argv[1:]])
    PAGE.write_text(page(stored()), encoding="utf-8")


if __name__ == "__main__":
    main()
