"""What a run reports while it is under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from producer.measure.snapshot import Now
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

    def lane(self, now: Now, ended: int, of: int) -> None:
        """How the lane does that is under load, and how many jobs of all have ended."""
