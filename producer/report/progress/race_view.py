"""A race while it runs: lanes side by side, a row for each thing measured, its rounds so far as a sparkline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.panel import Panel
from rich.text import Text

from producer.report.formats import NONE, milliseconds, number
from producer.report.progress.lanes_view import arranged, marks_for, room, rows_of, sparkline
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from producer.measure.progress import Score

ROWS_KEPT = 8
"""A sweep measures more things than a terminal has lines: the latest are shown."""

LABEL = 20

Row = tuple[str, Kind]
"""A workload, and the kind of trial that measured it."""


class RaceView:
    """The score of each round so far; rich asks for it at each refresh."""

    def __init__(self) -> None:
        self._scores: dict[str, dict[Row, list[float | None]]] = {}
        self._latest: dict[Row, None] = {}

    def add(self, score: Score) -> None:
        """Add the score of a trial."""
        row = score.workload, score.kind
        self._scores.setdefault(score.lane, {}).setdefault(row, []).append(score.value)
        self._latest = {**{each: None for each in self._latest if each != row}, row: None}

    def __bool__(self) -> bool:
        """Check whether any trial has ended."""
        return bool(self._scores)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as the terminal has room now."""
        rows, last = self._rows(), next(reversed(self._latest))
        lines = [_line(lane, last, found.get(last, [])) for lane, found in self._scores.items()]
        yield arranged(options, lines, lambda width: self._panels(rows, width, marks_for(options)))

    def _rows(self) -> list[Row]:
        """
        Return the rows of any lane that had a score last, in the order of their first: they do not jump with each.

        The same one stands at the same height on all lanes.
        """
        latest = list(self._latest)[-ROWS_KEPT:]
        return [row for row in dict.fromkeys(row for found in self._scores.values() for row in found) if row in latest]

    def _panels(self, rows: Sequence[Row], width: int, marks: str) -> list[RenderableType]:
        shown = room(width, LABEL)
        tops = {row: self._top(row, shown) for row in rows}
        return [
            Panel(_figures(rows, found, tops, shown, marks), title=Text(lane), title_align="left")
            for lane, found in self._scores.items()
        ]

    def _top(self, row: Row, shown: int) -> float:
        """Find the highest value in sight on any lane."""
        return max(
            (value or 0.0 for found in self._scores.values() for value in found.get(row, [])[-shown:]), default=0
        )


def _figures(
    rows: Sequence[Row], found: dict[Row, list[float | None]], tops: dict[Row, float], shown: int, marks: str
) -> RenderableType:
    table = rows_of(LABEL)
    for row in rows:
        values = found.get(row, [])[-shown:]
        table.add_row(_label(row), _last(row, values), Text(sparkline(values, tops[row], marks)))
    return table


def _label(row: Row) -> Text:
    workload, kind = row
    return Text(f"{workload} {'jobs/s' if kind is Kind.CAPACITY else 'wait ms'}", overflow="ellipsis")


def _last(row: Row, values: Sequence[float | None]) -> str:
    if not values:
        return NONE
    return number(values[-1]) if row[1] is Kind.CAPACITY else milliseconds(values[-1])


def _line(lane: str, row: Row, values: Sequence[float | None]) -> Text:
    return Text(f"{lane} {_last(row, values)} {_label(row)}", no_wrap=True, overflow="ellipsis")
