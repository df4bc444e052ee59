"""A kind of run, as far as reports have to know: its words, the parts of its report and its tests for CI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from producer.analysis.summary import Summary
    from producer.plan.run_settings import RunSettings
    from producer.report.parts import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    One thing that was asked of a run, as a test for a CI server.

    Attributes:
        name: What was asked.
        lane: Key of the lane it was asked of.
        failure: Why it was not met, as a sentence; empty if it was.
        unsure: Why nobody knows whether it was met, as a sentence; empty if somebody does.
    """

    name: str
    lane: str
    failure: str = ""
    unsure: str = ""


def no_checks(summary: Summary) -> Iterable[Check]:  # noqa: ARG001 - as of any kind
    """Return nothing: such a run is asked for nothing but to be valid."""
    return ()


def never_taken_on(summary: Summary) -> str:  # noqa: ARG001 - as of any kind
    """Return nothing: such a run cannot be taken on."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportKind:
    """
    A kind of run.

    Attributes:
        name: Its name, as in the settings.
        asked: Returns what was done, in a few words.
        parts: Yields all that it found, as tables and sentences. What the answer has already is left out there.
        answer: Yields what a reader needs first, what matters most first: a first screen shows it, cut where it is
            long, and a whole report begins with it. None for the first table and all sentences of its parts.
        taken_on: Returns why such a run is worth taking on with `--continue`, as a sentence; empty if it is not.
        checks: Returns what was asked of its lanes.
        between: What stands between its lanes in the heading.
    """

    name: str
    asked: Callable[[RunSettings], str]
    parts: Callable[[Summary], Iterator[Part]]
    answer: Callable[[Summary], Iterator[Part]] | None = None
    taken_on: Callable[[Summary], str] = never_taken_on
    checks: Callable[[Summary], Iterable[Check]] = no_checks
    between: str = " against "
