"""The rates of a lane in the last second, for a live view. Pure."""

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
        lane: The lane's key.
        at_s: Seconds since the load began on the lane.
        of_s: The duration of the lane's plan in seconds.
        offered_per_s: Jobs that became due, per second.
        accepted_per_s: Jobs that the broker accepted, per second.
        started_per_s: Jobs that a slot began, per second; None where the broker's queues cannot be read.
        finished_per_s: Jobs whose end became known, per second; nodes report up to a second later.
        backlog: Jobs ready and unacked on the broker; None where its queues cannot be read.
        behind: Jobs that were due and whose end is not known.
        failed: Jobs that have failed so far.
        queue_wait_p50_s: The median queue wait of the jobs that ended, in seconds; None if none did.
        queue_wait_p99_s: The 99th percentile of the same.
        paused: The load is paused by an order.
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
    """Turns successive snapshots of a trial into rates."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._before: tuple[float, int, int, int | None, int] = (0.0, 0, 0, 0, 0)
        self._failed = 0

    def between(self, snapshot: TrialSnapshot, of_s: float, *, paused: bool) -> LaneSnapshot:
        """Return the rates since the last snapshot."""
        started = self._started(snapshot)
        at_s, due, accepted, started_before, ended = self._before
        self._before = (snapshot.at_s, snapshot.due, snapshot.accepted, started, snapshot.ended)
        self._failed += snapshot.records.filter(pl.col("outcome") == Outcome.FAILED.label).height
        waits = percentiles(STAGES["queue_wait"].durations_s(snapshot.records))
        since_s = max(snapshot.at_s - at_s, 1e-3)
        known = started is not None and started_before is not None
        return LaneSnapshot(
            lane=self._lane.key,
            at_s=snapshot.at_s,
            of_s=of_s,
            offered_per_s=(snapshot.due - due) / since_s,
            accepted_per_s=(snapshot.accepted - accepted) / since_s,
            started_per_s=max(0, started - started_before) / since_s if known else None,  # type: ignore[operator]
            finished_per_s=(snapshot.ended - ended) / since_s,
            backlog=None if snapshot.waiting is None else snapshot.waiting.ready + snapshot.waiting.unacked,
            behind=snapshot.due - snapshot.ended,
            failed=self._failed,
            queue_wait_p50_s=None if waits is None else waits.p50,
            queue_wait_p99_s=None if waits is None else waits.p99,
            paused=paused,
        )

    def _started(self, snapshot: TrialSnapshot) -> int | None:
        """Return the jobs that a slot has begun: accepted ones that wait neither on the broker nor in a node."""
        if snapshot.waiting is None:
            return None
        # With late acknowledgement running jobs are unacked too: at most one a slot.
        at_work = min(snapshot.waiting.unacked, self._lane.slots) if self._lane.acks == "late" else 0
        return snapshot.accepted - snapshot.waiting.ready - snapshot.waiting.unacked + at_work
