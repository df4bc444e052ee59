"""How a lane does at this moment: what a live view shows, second by second. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from poolrace.contract import Outcome
from producer.analysis.percentiles import percentiles
from producer.plan.stages import STAGES

if TYPE_CHECKING:
    from producer.measure.trial_spec import TrialSnapshot
    from producer.plan.lanes import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSnapshot:
    """
    A lane in the last second or so.

    Attributes:
        lane: Its key.
        at_s: Seconds since the load began on it.
        of_s: How long its plan takes.
        offered_per_s: Jobs that became due.
        accepted_per_s: Jobs that the broker took.
        started_per_s: Jobs that a slot took; None where the broker's queues cannot be looked into.
        finished_per_s: Jobs whose end became known; nodes tell up to a second later.
        backlog: Jobs ready and unacked on the broker; None likewise.
        behind: Jobs that were due and whose end is not known.
        failed: Jobs that failed so far.
        queue_wait_p50_s: Started minus sent, of the jobs that ended; None if none did.
        queue_wait_p99_s: The same.
        paused: Nothing is being sent, since somebody said so.
    """

    lane: str
    at_s: float
    of_s: float
    offered_per_s: float
    accepted_per_s: float
    started_per_s: float | None
    finished_per_s: float
    backlog: int | None
    behind: int
    failed: int
    queue_wait_p50_s: float | None
    queue_wait_p99_s: float | None
    paused: bool = False


class RateMeter:
    """Turns moments of a trial, one after the other, into what happened between them."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._before: tuple[float, int, int, int | None, int] = (0.0, 0, 0, 0, 0)
        self._failed = 0

    def now(self, moment: TrialSnapshot, of_s: float, *, paused: bool) -> LaneSnapshot:
        """What happened since the last moment."""
        started = self._started(moment)
        at_s, due, accepted, started_before, ended = self._before
        self._before = (moment.at_s, moment.due, moment.accepted, started, moment.ended)
        self._failed += moment.records.filter(pl.col("outcome") == Outcome.FAILED.label).height
        waits = percentiles(STAGES["queue_wait"].durations_s(moment.records))
        since_s = max(moment.at_s - at_s, 1e-3)
        known = started is not None and started_before is not None
        return LaneSnapshot(
            lane=self._lane.key,
            at_s=moment.at_s,
            of_s=of_s,
            offered_per_s=(moment.due - due) / since_s,
            accepted_per_s=(moment.accepted - accepted) / since_s,
            started_per_s=max(0, started - started_before) / since_s if known else None,  # type: ignore[operator]
            finished_per_s=(moment.ended - ended) / since_s,
            backlog=None if moment.waiting is None else moment.waiting.ready + moment.waiting.unacked,
            behind=moment.due - moment.ended,
            failed=self._failed,
            queue_wait_p50_s=None if waits is None else waits.p50,
            queue_wait_p99_s=None if waits is None else waits.p99,
            paused=paused,
        )

    def _started(self, moment: TrialSnapshot) -> int | None:
        """Jobs that a slot has taken: those that the broker took and that do not wait, there or in the node."""
        if moment.waiting is None:
            return None
        # Acknowledged late, those at work are unacked as well: as many as there are slots for them.
        at_work = min(moment.waiting.unacked, self._lane.slots) if self._lane.acks == "late" else 0
        return moment.accepted - moment.waiting.ready - moment.waiting.unacked + at_work
