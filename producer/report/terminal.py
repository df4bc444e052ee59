"""A report on the terminal: tables and wrapped sentences, with colour where the terminal has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

PLAIN_WIDTH = 110
"""The width of a report that goes to a file or a pipe."""


def show(parts: Iterable[Table | Prose], directory: str, stream: TextIO) -> None:
    """Print a report, and the name of the run directory that it is from."""
    console = console_for(stream)
    show_parts(parts, console)
    console.print(Text(f"Run directory: {directory}   (poolrace report recomputes this from it)"))


def console_for(stream: TextIO) -> Console:
    """Return a console on a stream: as wide as the terminal, or of a fixed width where there is none."""
    is_terminal = stream.isatty()
    return Console(file=stream, width=None if is_terminal else PLAIN_WIDTH, highlight=False, soft_wrap=False)


def show_parts(parts: Iterable[Table | Prose], console: Console) -> None:
    """Print parts of a report, an empty line between them."""
    for part in parts:
        if isinstance(part, Table):
            _show_table(part, console)
        else:
            _show_prose(part, console)
        console.print()


def _show_table(part: Table, console: Console) -> None:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for number, column in enumerate(part.columns):
        words = number == 0 or column in {"lane", "measure", "verdict", "GIL in slots"}
        table.add_column(Text(column), justify="left" if words else "right", overflow="fold")
    for row in part.rows:
        table.add_row(*map(Text, row))
    console.print(Text(part.title, style="bold"))
    console.print(table)
    if part.note:
        console.print(Text(part.note, style="dim"))


def _show_prose(part: Prose, console: Console) -> None:
    if part.title:
        console.print(Text(part.title, style="bold"))
    for line in part.lines:
        console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
    for command in part.commands:
        # Not wrapped: it is to be copied.
        console.print(Text(f"    {command}", style="cyan"), soft_wrap=True)
