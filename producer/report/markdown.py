"""A report as Markdown, for a repository or a ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.report.document import Prose, Table, document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def as_markdown(summary: Mapping[str, Any]) -> str:
    """The report that the terminal shows, as Markdown."""
    return parts_as_markdown(document(summary))


def parts_as_markdown(parts: Iterable[Table | Prose]) -> str:
    """Parts of a report as Markdown, ending in a line break."""
    return "\n\n".join(_table(part) if isinstance(part, Table) else _prose(part) for part in parts) + "\n"


def _table(part: Table) -> str:
    ruler = ["---"] + ["---:"] * (len(part.columns) - 1)
    lines = [f"### {_escape(part.title)}", "", _row(part.columns), f"| {' | '.join(ruler)} |", *map(_row, part.rows)]
    return "\n".join(lines + ([f"\n{_escape(part.note)}"] if part.note else []))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escape, cells))} |"


def _prose(part: Prose) -> str:
    blocks = [f"### {_escape(part.title)}"] if part.title else []
    blocks.append("\n".join(f"- {_escape(line)}" for line in part.lines))
    if part.commands:
        blocks.append("\n".join(["```", *part.commands, "```"]))
    return "\n\n".join(blocks)


def _escape(text: str) -> str:
    for mark in ("\\", "|", "<", "*", "`"):
        text = text.replace(mark, f"\\{mark}")
    return text
