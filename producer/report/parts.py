"""The parts of reports: tables and sentences, without saying how they look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    Rows under a title.

    Attributes:
        title: What the numbers are, with their unit.
        columns: Headings; the first column is text, the others are aligned to the right unless they hold words.
        rows: Cells, all text.
        note: How to read it; empty if there is nothing to say.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prose:
    """
    Sentences under a title.

    Attributes:
        title: What they are about; empty for none.
        lines: One sentence or item each.
        commands: Lines that are meant to be copied, and are never wrapped.
    """

    title: str
    lines: Sequence[str]
    commands: Sequence[str] = ()
