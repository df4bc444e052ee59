"""A kind of run, as far as analysis has to know: what it adds to a summary, and what may be done with its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from producer.analysis.results import Analysis
    from producer.analysis.verdict import Verdict
    from producer.rundir.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class KindParts:
    """
    The part of a summary that only one kind of run has.

    Attributes:
        found: The value of the summary's field that has the kind's name; None for a kind without one.
        problems: Why its figures may not be used, a sentence each.
    """

    found: object = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKind:
    """
    A kind of run.

    Attributes:
        name: Its name, as in the settings.
        summarise: Returns its parts of the summary.
        comparable: Its trials are repeated, so that two runs can be compared with an interval.
        recommends: Its verdicts say which lane to use.
    """

    name: str
    summarise: Callable[[Run, Analysis, Sequence[Verdict]], KindParts]
    comparable: bool = False
    recommends: bool = False
