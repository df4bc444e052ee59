"""The trials of a run: what was measured when, on which lane."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from poolrace.cgroup import Throttling


class Kind(StrEnum):
    """The kind of a trial: the thing that it measures."""

    WARM_UP = "warm-up"
    CAPACITY = "capacity"
    LATENCY = "latency"
    APART = "apart"
    PING = "ping"
    LOAD = "load"
    PROBE = "probe"


AT_HELD_RATE = frozenset({Kind.LATENCY, Kind.APART})
"""The kinds of trials of a race at a rate that is held; `apart` is a mix of which another lane takes some tasks."""

PAIRED = frozenset({Kind.CAPACITY, Kind.LATENCY})
"""The kinds of trials that are compared round by round."""

IN_ROUNDS = PAIRED | AT_HELD_RATE | {Kind.PING}
"""The kinds of trials that do not count, and are measured again, if something disturbed them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """
    One measured period on one lane.

    Attributes:
        trial: Its number within the run, from 0; records carry it.
        kind: The thing that it measures.
        workload: The workload of its jobs.
        lane: Key of the lane it ran on, e.g. `threads`.
        round: Trials of one kind and workload with the same round form a pair, one on each lane.
        jobs: How many jobs the plan had.
        rate_per_s: The held arrival rate; None for a backlog, whose jobs are all due at once.
        slots: Concurrency of the lane.
        began_at: When the plan's time began, in seconds on the broker's clock.
        ended_at: When its last record was in, or it was given up, on the same clock.
        cpu_s: CPU seconds that the lane's nodes used from just before to just after; None if unknown.
        queued: Sequence numbers still on the broker when the trial was given up: ready or unacked, not lost.
        parts: Workloads of the jobs; the table `sent` has an index into them for each job.
        planned_s: The length of the plan; None if it ends with its last job.
        given_up_s: When sending stopped because the trial could not pass any more; None if all was sent.
        start: Which start of its lane's nodes it ran on, from 1.
        others_cores: Cores' worth of CPU time that other programs used meanwhile; None if unknown.
        clock_jump_s: By how much the clock of the machine that sends was set meanwhile, in seconds.
        lead_in_s: Jobs that were due earlier, in seconds from `began_at`, are settled and in no figure of latency: they
            found a lane that had been idle.
        broker_cpu_s: CPU seconds that the broker's main thread, which runs all commands, used meanwhile: for the jobs,
            and for all else that it did. None if the broker does not tell, as in runs of before it was asked.
        throttling: How often the kernel stopped the lane's nodes meanwhile, all together, because of their CPU quotas;
            None if they have none.
    """

    trial: int
    kind: Kind
    workload: str
    lane: str
    round: int
    jobs: int
    rate_per_s: float | None
    slots: int
    began_at: float
    ended_at: float
    cpu_s: float | None = None
    queued: tuple[int, ...] = ()
    parts: tuple[str, ...] = ()
    planned_s: float | None = None
    given_up_s: float | None = None
    start: int = 1
    others_cores: float | None = None
    clock_jump_s: float = 0.0
    lead_in_s: float = 0.0
    broker_cpu_s: float | None = None
    throttling: Throttling | None = None


def rate_per_s(trial: Trial) -> float:
    """Return the jobs per second over a whole trial: a rough figure, for sizing the next one."""
    return trial.jobs / max(trial.ended_at - trial.began_at, 1e-3)
