"""A report on the terminal: tables and wrapped sentences, with colour where the terminal has it."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.segment import Segment, Segments
from rich.table import Table as RichTable
from rich.text import Text

from producer.report.first_screen import Cut
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import RenderableType

    from producer.report.parts import Part, Prose

PLAIN_WIDTH = 110
"""The width of a whole report that goes to a file or a pipe."""

SCREEN_WIDTH, SCREEN_LINES = 100, 29
"""The width of a first screen that goes there, and its lines at most; one more says where the page is."""

CUTS = ((6, 12, 3), (6, 6, 3), (6, 3, 3), (6, 3, 1), (6, 2, 1), (5, 2, 1), (5, 1, 1), (4, 1, 1), (2, 1, 1))
"""Rows, lines under a title and warnings of a first screen, from the most on: the first that fits is shown."""

WORDS = frozenset({"lane", "measure", "verdict", "GIL in slots"})
"""Columns that hold words wherever they are."""


def show(parts: Iterable[Part], stream: TextIO) -> None:
    """Print a whole report."""
    show_parts(parts, console_for(stream))


def show_first(screen: Callable[[Cut], Sequence[Part]], stream: TextIO) -> None:
    """
    Print a first screen, cut as much as it must be to fit.

    Args:
        screen: Returns its parts, cut as it is told.
        stream: Where to.
    """
    console = console_for(stream, SCREEN_WIDTH)
    for rows, lines, warnings in CUTS:
        parts = screen(Cut(rows=rows, lines=lines, warnings=warnings, columns=console.width))
        if _height(parts, console.width) <= SCREEN_LINES:
            break
    show_parts(parts, console, last="")


def _height(parts: Sequence[Part], width: int) -> int:
    """Count the lines that parts take on a terminal of this width."""
    stream = StringIO()
    show_parts(parts, Console(file=stream, width=width, highlight=False), last="")
    return sum(max(1, -(-len(line) // width)) for line in stream.getvalue().splitlines())


def console_for(stream: TextIO, width: int = PLAIN_WIDTH) -> Console:
    """Return a console on a stream: as wide as the terminal, or of a fixed width where there is none."""
    return Console(file=stream, width=None if stream.isatty() else width, highlight=False, soft_wrap=False)


def show_parts(parts: Iterable[Part], console: Console, last: str = "\n") -> None:
    """Print parts of a report, an empty line between them; `last` is what follows the last one."""
    all_parts = list(parts)
    for number, part in enumerate(all_parts):
        if isinstance(part, Table):
            _show_table(part, console)
        else:
            _show_prose(part, console)
        console.print(end="\n" if number < len(all_parts) - 1 else last)


def _show_table(part: Table, console: Console) -> None:
    gap = (0, 1, 0, 0) if part.large else (0, 1)  # of two columns where there are many words, or of three
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=gap)
    words = {part.columns[0], *part.words} | WORDS
    for column in part.columns:
        table.add_column(Text(column), justify="left" if column in words else "right", overflow="fold")
    for row in part.rows:
        table.add_row(*map(Text, row))
    _print(Text(part.title, style="bold"), console)
    _print(table, console)
    if part.note:
        _print(Text(part.note, style="dim"), console)


def _show_prose(part: Prose, console: Console) -> None:
    if part.title:
        _print(Text(part.title, style="bold"), console)
    for line in part.lines:
        _print(Padding(Text(line), (0, 0, 0, 2), expand=False), console)
    for command in part.commands:
        # Not wrapped: it is to be copied.
        console.print(Text(f"    {command}", style="cyan"), soft_wrap=True)


def _print(what: RenderableType, console: Console) -> None:
    """Print something without the spaces with which rich fills up its lines."""
    for line in console.render_lines(what, pad=False):
        console.print(Segments([*_stripped(line), Segment.line()]), soft_wrap=True, end="")


def _stripped(line: Sequence[Segment]) -> list[Segment]:
    """Return a line without the spaces at its end."""
    left = list(line)
    while left and not left[-1].text.strip():
        left.pop()
    if left:
        left[-1] = Segment(left[-1].text.rstrip(), left[-1].style)
    return left
