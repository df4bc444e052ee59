"""The parts of reports: tables and sentences, without saying how they look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

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
        words: The columns, besides the first, that hold words.
        large: Whether it is the answer, to be read across a room where there is room.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    words: Sequence[str] = ()
    large: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prose:
    """
    Sentences under a title.

    Attributes:
        title: What they are about; empty for none.
        lines: One sentence or item each.
        commands: Lines that are meant to be copied, and are never wrapped.
        first: Lines that a first screen shows at most; 0 for as many as fit.
    """

    title: str
    lines: Sequence[str]
    commands: Sequence[str] = ()
    first: int = 0


Part: TypeAlias = Table | Prose
