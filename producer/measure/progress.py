"""The reports of a run while it is under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from producer.measure.snapshot import LaneSnapshot
    from producer.rundir.trials import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """
    A rough result of a trial, for a live view; reports compute their figures from records.

    Attributes:
        lane: The lane's key.
        workload: The workload of the jobs.
        kind: Capacity or latency.
        value: Jobs per second over a backlog, or the median queue wait at a held rate in seconds; None if no job ended.
    """

    lane: str
    workload: str
    kind: Kind
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSoFar:
    """
    Where a lane's limit lies, after a probe.

    Attributes:
        lane: The lane's key.
        probes: Probes of the lane so far.
        rate_per_s: The rate that the last probe held, in jobs per second.
        passed: Whether the lane held it.
        low_per_s: The lower end of the limit's interval; None until one probe has passed and one has failed.
        high_per_s: The upper end.
        over: It was the last probe.
    """

    lane: str
    probes: int
    rate_per_s: float
    passed: bool
    low_per_s: float | None
    high_per_s: float | None
    over: bool


class Progress(Protocol):
    """A listener to the progress of a run."""

    def stage(self, text: str) -> None:
        """Report that a stage other than a trial has begun."""

    def begin(self, trials: int | None, at_most_s: float | None = None) -> None:
        """Report that measuring begins, with the number of trials, or else the time that it may take, if known."""

    def trial(self, text: str) -> None:
        """Report that a trial has ended."""

    def score(self, score: Score) -> None:
        """Report the score of a trial of a race."""

    def probe(self, limit: LimitSoFar) -> None:
        """Report a probe of a search for the limit."""

    def lane(self, now: LaneSnapshot, ended: int, of: int) -> None:
        """Report the lane under load, and how many of its jobs have ended."""
