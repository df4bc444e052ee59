"""A report as Markdown, for a repository or a ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from producer.report.parts import Part, Prose


def as_markdown(parts: Iterable[Part]) -> str:
    """Return parts of a report as Markdown, ending in a line break."""
    return "\n\n".join(_table(part) if isinstance(part, Table) else _prose(part) for part in parts) + "\n"


def _table(part: Table) -> str:
    ruler = ["---" if column in (part.columns[0], *part.words) else "---:" for column in part.columns]
    title = [f"### {_escape(part.title)}", ""] if part.title else []
    lines = [*title, _row(part.columns), f"| {' | '.join(ruler)} |", *map(_row, part.rows)]
    return "\n".join(lines + ([f"\n{_escape(part.note)}"] if part.note else []))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escape(cell).replace(chr(10), '<br>') for cell in cells)} |"


def _prose(part: Prose) -> str:
    blocks = [f"### {_escape(part.title)}"] if part.title else []
    if part.lines:
        blocks.append("\n".join(map(_item, part.lines)))
    if part.commands:
        blocks.append("\n".join(["```", *part.commands, "```"]))
    return "\n\n".join(blocks)


def _item(line: str) -> str:
    """Format a list item; the lines after its first, such as the end of a log, are shown as they are."""
    first, _, rest = line.partition("\n")
    quoted = ["", "  ```", *(f"  {each}" for each in rest.splitlines()), "  ```"] if rest else []
    return "\n".join([f"- {_escape(first)}", *quoted])


def _escape(text: str) -> str:
    for mark in ("\\", "|", "<", "*", "_", "`", "~", "["):
        text = text.replace(mark, f"\\{mark}")
    return text
