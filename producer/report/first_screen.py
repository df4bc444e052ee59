"""
The first screen of a report: problems, the answer, what to bear in mind, and where all else is.

The same parts begin a whole report, uncut. A screen has little room, so that here long lists and texts are cut, and
say so; how much is for whoever shows them.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from producer.report.formats import instant
from producer.report.kinds import KINDS
from producer.report.lane_names import NAMED_LANES, distances_told, versions_that_differ
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePath

    from producer.analysis.summary import Summary
    from producer.report.parts import Part

MORE_FIGURES = 10
"""By so much the rows of a table of figures may be more than those of an answer."""

GAP = 2
"""Columns between two cells of a table."""

LEAST_CELL, LONGEST_NAME = 30, 26
"""Columns that the last cell of a row has at least, and the name in its first at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """
    The room that a first screen has.

    Attributes:
        rows: Rows of an answer, and problems of a run, that are shown.
        lines: Sentences under one title.
        warnings: Warnings.
        columns: Of the screen.
    """

    rows: int
    lines: int
    warnings: int
    columns: int = 100


def answer(summary: Summary) -> list[Part]:
    """Return what a reader needs first, uncut: problems of the run, the answer, warnings."""
    return [*_problems(summary), *_of_kind(summary), *_warnings(summary)]


def first_screen(summary: Summary, path: PurePath, cut: Cut, *, has_page: bool = False) -> list[Part]:
    """
    Return the parts of a first screen.

    Args:
        summary: Of the run.
        path: The run directory, as the reader would name it.
        cut: The room for it.
        has_page: Whether there is a page of the run.
    """
    problems = [_few(part, cut.rows, cut.columns) for part in _problems(summary)]
    found = [_cut(part, cut) for part in _of_kind(summary)]
    warnings = [_few(part, cut.warnings, cut.columns) for part in _warnings(summary)]
    return [headline(summary), *problems, *found, *warnings, closing(summary, path, has_page=has_page)]


def headline(summary: Summary) -> Prose:
    """Return what was run when, for how long, on how much evidence."""
    kind, settings = KINDS[summary.settings.kind], summary.settings
    keys = [lane.key for lane in settings.base_lanes]
    lanes = kind.between.join(keys) if len(keys) <= NAMED_LANES else f"{len(keys)} lanes"
    words = list(_measured(summary))
    if summary.machine:
        words.append(f"{summary.machine.cores_available} cores")
    title = f"{kind.name.capitalize()} of {instant(summary.run.began_at)}: {lanes}"
    lines = [f"{', '.join(words)}."] if words else []
    return Prose(title=title, lines=[*lines, *versions_that_differ(summary.lanes), *distances_told(summary.distances)])


def _measured(summary: Summary) -> Iterator[str]:
    """Yield how long a run took, and how many pairs its comparisons rest on."""
    if summary.run.measured_s:
        yield f"measured {summary.run.measured_s:.0f} s"
    pairs = {verdict.pairs for workload in summary.workloads for verdict in workload.verdicts}
    if pairs:
        least, most = min(pairs), max(pairs)
        number = f"{most}" if least == most else f"{least} to {most}"
        yield f"{number} {'pair' if most == 1 else 'pairs'} a comparison"


def closing(summary: Summary, path: PurePath, *, has_page: bool = False, whole: bool = False) -> Prose:
    """
    Return where all else is, and how to take the run on if that is worth it.

    Args:
        summary: Of the run.
        path: The run directory, as the reader would name it.
        has_page: Whether there is a page of the run.
        whole: Whether every figure has been shown already.
    """
    kind, run = KINDS[summary.settings.kind], shlex.quote(str(path))
    lines = [f"Page: {path / 'report.html'}"] if has_page else []
    lines.append(f"Run directory: {path}")
    worth = kind.taken_on(summary) if summary.valid else ""
    todo = {"take it on": f"poolrace {kind.name} --continue {run}"} if worth else {}
    if summary.workloads and not whole:
        todo["see every figure"] = f"poolrace report --full {run}"
    if todo:
        lines.append(f"{worth} To {', or to '.join(todo)}:".lstrip())
    return Prose(title="", lines=lines, commands=list(todo.values()))


def _problems(summary: Summary) -> Iterator[Prose]:
    if summary.problems:
        yield Prose(title="This run is not valid", lines=summary.problems)


def _warnings(summary: Summary) -> Iterator[Prose]:
    if summary.warnings:
        yield Prose(title="Warnings", lines=summary.warnings)


def _of_kind(summary: Summary) -> list[Part]:
    """Return the answer of a kind of run; nothing where nothing was measured."""
    kind = KINDS[summary.settings.kind]
    if not summary.workloads:
        return []
    return list(kind.answer(summary) if kind.answer else _first_found(kind.parts(summary)))


def _first_found(parts: Iterator[Part]) -> Iterator[Part]:
    """Yield the first table and all sentences of a report, in its order."""
    tables = 0
    for part in parts:
        tables += isinstance(part, Table)
        if isinstance(part, Prose) or tables == 1:
            yield part


def _cut(part: Part, cut: Cut) -> Part:
    return _cut_table(part, cut) if isinstance(part, Table) else _few(part, cut.lines, cut.columns)


def _few(part: Prose, most: int, columns: int) -> Prose:
    """Leave the first lines of a list, two screen lines each at most; the title counts what was left out."""
    kept = part.lines[: min(most, part.first or most)]
    lines = [short(line, 2 * (columns - GAP) - LEAST_CELL) for line in kept]
    cut = part.title and len(kept) < len(part.lines)
    title = f"{part.title} ({len(kept)} of {len(part.lines)})" if cut else part.title
    return replace(part, title=title, lines=lines)


def _cut_table(table: Table, cut: Cut) -> Table:
    """Leave the first rows of a table, each on one line where its last cell holds words; the note counts the rest."""
    most = cut.rows if table.large else cut.rows + MORE_FIGURES
    rows = [[_tail(row[0]), *row[1:]] for row in table.rows[:most]]
    if rows and table.columns[-1] in table.words:
        columns = list(zip(table.columns, *rows, strict=True))
        taken = sum(max(map(len, column)) + GAP for column in columns[:-1])
        rows = [[*row[:-1], short(row[-1], max(LEAST_CELL, cut.columns - taken))] for row in rows]
    rest = [row[0] for row in table.rows[most:]]
    names = f": {', '.join(rest)}" if table.large else ""
    notes = [short(f"and {len(rest)} more{names}", cut.columns)] if rest else []
    notes += [short(table.note, cut.columns)] if table.note else []
    return replace(table, rows=rows, note="\n".join(notes))


def _tail(name: str) -> str:
    """Leave the end of a long name, by which tasks of one app differ."""
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def short(text: str, most: int) -> str:
    """Return the first line of a text, cut after a clause or else a word if it is longer than so many characters."""
    line = text.partition("\n")[0]
    if len(line) <= most:
        return line
    head = line[: most - 2]
    at = max(head.rfind(", ") + 1, head.rfind("; ") + 1)
    at = at if at > most // 2 else head.rfind(" ")
    return f"{line[:at] if at > 0 else head} …"
