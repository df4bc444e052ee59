"""Lanes under load side by side, each with its last minutes as sparklines; fits whatever width the terminal has now."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from producer.report.formats import count, milliseconds, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from producer.measure.snapshot import LaneSnapshot

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = ".:-=+*#@"
"""For terminals that know no others."""

KEPT = 300
"""Snapshots of a lane that are kept: as many as the widest terminal shows."""

LEAST = 34
"""Columns below which a lane has no room for sparklines."""

FRAME, LABEL, VALUE = 4, 12, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One figure of a lane.

    Attributes:
        label: Its name, and its unit.
        read: Takes it from a snapshot; None if it is unknown.
        show: Makes it text.
        scale: Rows with the same one can be compared by height, on all lanes.
    """

    label: str
    read: Callable[[LaneSnapshot], float | None]
    show: Callable[[float | None], str]
    scale: str


def _whole(jobs: float | None) -> str:
    return count(None if jobs is None else int(jobs))


ROWS = (
    Row(label="offered/s", read=lambda now: now.offered_per_s, show=number, scale="rate"),
    Row(label="started/s", read=lambda now: now.started_per_s, show=number, scale="rate"),
    Row(label="finished/s", read=lambda now: now.finished_per_s, show=number, scale="rate"),
    Row(label="backlog", read=lambda now: now.backlog, show=_whole, scale="behind"),
    Row(label="behind", read=lambda now: now.behind, show=_whole, scale="behind"),
    Row(label="wait p50 ms", read=lambda now: now.queue_wait_p50_s, show=milliseconds, scale="wait"),
    Row(label="wait p99 ms", read=lambda now: now.queue_wait_p99_s, show=milliseconds, scale="wait"),
)


def sparkline(values: Sequence[float | None], top: float, marks: str = BLOCKS) -> str:
    """
    Draw values as marks of rising height, a blank where one is not known.

    Args:
        values: From the oldest to the latest, 0 or more.
        top: What the highest mark stands for; 0 if all are 0.
        marks: From the lowest to the highest.
    """
    return "".join(" " if value is None else marks[_height(value, top, len(marks))] for value in values)


def _height(value: float, top: float, heights: int) -> int:
    return min(int(value / top * heights), heights - 1) if top > 0 else 0


def marks_for(options: ConsoleOptions) -> str:
    """Return marks that this terminal can show."""
    return PLAIN if options.ascii_only else BLOCKS


def room(width: int, label: int) -> int:
    """Return the number of marks that fit in a panel of this width, beside labels of this width."""
    return max(1, width - FRAME - label - VALUE - 2)


def arranged(
    options: ConsoleOptions, lines: Sequence[Text], panels: Callable[[int], Sequence[RenderableType]]
) -> RenderableType:
    """
    Arrange lanes side by side if there is room, else one above the other, else a line each.

    Args:
        options: Of the terminal as it is now.
        lines: A line for each lane.
        panels: A panel for each lane, for a width in columns.
    """
    width, lanes = options.max_width, len(lines)
    if width < LEAST:
        return Group(*lines)
    if width // lanes < LEAST:
        return Group(*panels(width))
    grid = Table.grid(expand=True)
    for _ in lines:
        grid.add_column(ratio=1)
    grid.add_row(*panels(width // lanes))
    return grid


def rows_of(label: int) -> Table:
    """Make a table of figures: names in a column of this width, values, sparklines."""
    rows = Table.grid(padding=(0, 1))
    rows.add_column(width=label, no_wrap=True)
    rows.add_column(width=VALUE, justify="right")
    rows.add_column(no_wrap=True)
    return rows


class LanesView:
    """The rates of lanes so far; rich asks for them at each refresh."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[LaneSnapshot]] = {}

    def add(self, now: LaneSnapshot) -> None:
        """Add a snapshot of a lane; the last ones of the lanes before it stay."""
        self._lanes.setdefault(now.lane, deque(maxlen=KEPT)).append(now)

    def __bool__(self) -> bool:
        """Check whether any lane was under load."""
        return bool(self._lanes)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as the terminal has room now."""
        lines = [_line(snapshots[-1]) for snapshots in self._lanes.values()]
        yield arranged(options, lines, lambda width: self._panels(width, marks_for(options)))

    def _panels(self, width: int, marks: str) -> list[RenderableType]:
        shown = room(width, LABEL)
        tops = self._tops(shown)
        return [_panel(list(snapshots), shown, tops, marks) for snapshots in self._lanes.values()]

    def _tops(self, shown: int) -> dict[str, float]:
        """Find the highest value of each scale that is in sight, on any lane."""
        tops: dict[str, float] = {}
        for snapshots in self._lanes.values():
            for row in ROWS:
                values = (row.read(now) or 0.0 for now in list(snapshots)[-shown:])
                tops[row.scale] = max(tops.get(row.scale, 0.0), *values)
        return tops


def _panel(snapshots: Sequence[LaneSnapshot], shown: int, tops: dict[str, float], marks: str) -> Panel:
    now = snapshots[-1]
    rows = rows_of(LABEL)
    for row in ROWS:
        values = [row.read(each) for each in snapshots[-shown:]]
        rows.add_row(row.label, row.show(values[-1]), Text(sparkline(values, tops[row.scale], marks)))
    return Panel(rows, title=Text(_title(now)), subtitle=Text(_subtitle(now)), title_align="left")


def _title(now: LaneSnapshot) -> str:
    # Once all is sent, what was sent is waited for.
    return f"{now.lane}  {min(now.at_s, now.of_s):.0f} of {now.of_s:.0f} s"


def _subtitle(now: LaneSnapshot) -> str:
    words = [f"{now.failed:,} failed"] if now.failed else []
    return ", ".join([*words, "paused"] if now.paused else words)


def _line(now: LaneSnapshot) -> Text:
    return Text(f"{now.lane} {number(now.finished_per_s)}/s, {now.behind:,} behind", no_wrap=True, overflow="ellipsis")
