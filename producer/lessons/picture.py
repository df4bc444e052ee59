"""Pictures of lessons, as data: a terminal draws them with characters, a page as SVG. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from producer.lessons.lesson import Estimate, Found, Lesson, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """
    A bar for each measure, with its interval.

    Attributes:
        title: What the bars show.
        rows: The estimate of each bar, by its label.
        unit: Their unit, as a measure has it.
        full: The value of a full bar; None for the largest.
    """

    title: str
    rows: Mapping[str, Estimate]
    unit: str = ""
    full: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """
    Stretches of time in rows, e.g. jobs in their slots.

    Attributes:
        title: What it shows.
        spans: The stretches.
    """

    title: str
    spans: Sequence[Span]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """
    Lines of text as they were printed or found.

    Attributes:
        title: What they are.
        lines: The lines.
    """

    title: str
    lines: Sequence[str]


Picture = Bars | Timeline | Lines


def bars(
    lesson: Lesson, title: str, *measures: str, unit: str = "", full: float | None = None
) -> Callable[[Found], Bars]:
    """Return a lesson's picture: a bar for each of its measures, or for those named."""
    return lambda found: Bars(title=title, rows=found.titled(lesson, *measures), unit=unit, full=full)


def timeline(title: str) -> Callable[[Found], Timeline]:
    """Return a lesson's picture: the stretches of time of its last repetition."""
    return lambda found: Timeline(title=title, spans=found.last.spans)


def printed(title: str, note: str) -> Callable[[Found], Lines]:
    """Return a lesson's picture: a note of its last repetition, line by line."""
    return lambda found: Lines(title=title, lines=found.last.notes[note].splitlines())
