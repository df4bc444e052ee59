"""What a run reports while it is under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from producer.measure.snapshot import LaneSnapshot
    from producer.rundir.trials import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """
    What a trial gave, roughly, for those who watch; reports compute their figures from records.

    Attributes:
        lane: Key of the lane.
        workload: What the jobs do.
        kind: Capacity or latency.
        value: Jobs a second over a backlog, or the median queue wait at a held rate in seconds; None if no job ended.
    """

    lane: str
    workload: str
    kind: Kind
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """
    The rates between which a lane's limit lies, after a probe.

    Attributes:
        lane: Key of the lane.
        probes: Probes of the lane so far.
        rate_per_s: The rate that the last probe held, in jobs per second.
        confirming: The last probe repeated a rate that had passed.
        passed: Every threshold was kept at that rate.
        held_per_s: The highest rate that passed; None if none has.
        broke_per_s: The lowest rate that failed; None if none has.
        confirmed: The search has ended with a confirmed limit.
    """

    lane: str
    probes: int
    rate_per_s: float
    confirming: bool
    passed: bool
    held_per_s: float | None
    broke_per_s: float | None
    confirmed: bool


class Progress(Protocol):
    """Whoever wants to know how far a run is."""

    def stage(self, text: str) -> None:
        """Something that is not a trial has begun."""

    def begin(self, trials: int) -> None:
        """Measuring has begun, and this many trials are to come."""

    def trial(self, text: str) -> None:
        """A trial is through."""

    def score(self, score: Score) -> None:
        """What a trial of a race gave."""

    def probe(self, bracket: Bracket) -> None:
        """Report a probe of a search for the limit."""

    def lane(self, now: LaneSnapshot, ended: int, of: int) -> None:
        """How the lane does that is under load, and how many jobs of all have ended."""
