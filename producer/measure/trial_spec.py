"""What a trial is asked for, and what can be seen of it while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from producer.fleet.queue_depth import Depth
    from producer.plan.arrivals import Plan
    from producer.plan.jobs import Jobs
    from producer.plan.lanes import Lane
    from producer.rundir.trials import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSpec:
    """
    A trial that is to be run.

    Attributes:
        kind: What it measures.
        jobs: What is sent.
        lane: On which lane.
        plan: When.
        round: Trials of one kind and workload with the same round form a pair.
        planned_s: How long the plan takes, if its last job does not say it.
        ping: Ping the lane's nodes meanwhile.
        on_tick: Called once a second with a snapshot, and with what can steer the trial.
    """

    kind: Kind
    jobs: Jobs
    lane: Lane
    plan: Plan
    round: int = 0
    planned_s: float | None = None
    ping: bool = False
    on_tick: Callable[[TrialSnapshot, TrialControl], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSnapshot:
    """
    How far a trial is.

    Attributes:
        began_at: When it began, on the broker's clock.
        at_s: Seconds since then.
        due: Jobs that were due by then.
        accepted: Jobs that the broker took.
        refused: Jobs that it did not.
        ended: Jobs whose end is known.
        of: All its jobs.
        waiting: What the lane's queue holds; None where it cannot be looked into.
        records: Those that came in since the last moment, in the layout of `RECORD_SCHEMA`.
        children: The same of jobs that others started, under the number of the one that was sent.
        samples: The same of the nodes, in the layout of `SAMPLE_SCHEMA`.
    """

    began_at: float
    at_s: float
    due: int
    accepted: int
    refused: int
    ended: int
    of: int
    waiting: Depth | None
    records: pl.DataFrame
    children: pl.DataFrame
    samples: pl.DataFrame


class TrialControl(Protocol):
    """What a trial's watcher can do to it."""

    def replan(self, plan: Plan, planned_s: float) -> None:
        """Go on by another plan, whose jobs are the same until a moment from now."""

    def give_up(self, at_s: float) -> None:
        """Send nothing that is due a moment later than this; what was sent is waited for."""
