"""The specification of a trial, snapshots of it while it runs, and the control over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

    from producer.fleet.queue_depth import Depth
    from producer.plan.arrivals import Plan
    from producer.plan.jobs import Jobs
    from producer.plan.lanes import Lane
    from producer.rundir.trials import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSpec:
    """
    A trial to run.

    Attributes:
        kind: What the trial measures.
        jobs: The jobs that are sent.
        lane: The lane that it runs on.
        plan: When each job is due.
        round: The round; trials of one kind and workload with the same round form a pair.
        mix_seed: The seed of what each job of a mix is; the same on every lane of a round, another one in each round.
        planned_s: The duration of the plan in seconds, where its last job does not end it.
        start: Which start of the lane's nodes it is, from 1.
        lead_in_s: Jobs that are due earlier are in no figure of latency, in seconds from the trial's beginning.
        elsewhere: The lanes that take the jobs of some calls instead, by the workload of the call.
        ping: Ping the lane's nodes while it runs.
        on_tick: Called once a second with a snapshot, and with what can steer the trial.
    """

    kind: Kind
    jobs: Jobs
    lane: Lane
    plan: Plan
    round: int = 0
    mix_seed: int = 0
    planned_s: float | None = None
    start: int = 1
    lead_in_s: float = 0.0
    elsewhere: Mapping[str, Lane] = field(default_factory=dict)
    ping: bool = False
    on_tick: Callable[[TrialSnapshot, TrialControl], None] | None = None

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Every lane that takes jobs of it, its own first."""
        return (self.lane, *{lane.key: lane for lane in self.elsewhere.values()}.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSnapshot:
    """
    The state of a running trial.

    Attributes:
        began_at: When the trial began, on the broker's clock.
        at_s: Seconds since then.
        due: Jobs that were due by then.
        accepted: Jobs that the broker accepted.
        refused: Jobs that the broker refused.
        ended: Jobs whose end is known.
        of: All jobs of the plan.
        waiting: The depth of the lane's queues; None where they cannot be read.
        records: Records since the last snapshot, in the layout of `RECORD_SCHEMA`.
        children: Records of jobs that others started, under the number of the one that was sent.
        samples: Samples of the nodes since the last snapshot, in the layout of `SAMPLE_SCHEMA`.
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
    """The control that a watcher has over a running trial."""

    def replan(self, plan: Plan, planned_s: float) -> None:
        """Continue by another plan, whose jobs are the same until shortly after now."""

    def give_up(self, at_s: float) -> None:
        """Send nothing that is due after this offset; wait for what was sent."""
