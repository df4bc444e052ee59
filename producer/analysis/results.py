"""The results of an analysis: a noun for a trial, for a workload on a lane, and for the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from producer.analysis.latency import Latency
from producer.analysis.percentiles import Percentiles, Spread
from producer.analysis.settle import Settlement
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """
    The figures of one trial.

    Attributes:
        trial: Its number within the run.
        kind: What it was to measure.
        workload: What its jobs did.
        lane: Key of the lane it ran on.
        round: Trials of one kind and workload with the same round form a pair.
        settlement: What became of its jobs.
        rate_per_s: The held arrival rate; None for a backlog.
        capacity_per_s: Steady completion rate over a backlog; None for other kinds and where it is unknown.
        achieved_per_s: Jobs that succeeded, per second from the first one due to the last one finished.
        sojourn: Finished minus due.
        publish_lag: Sent minus due.
        cpu_s_per_job: CPU seconds of the lane's nodes per job done; None if unknown.
        negative: Jobs with a wait below zero.
        start: Which start of its lane's nodes it ran on, from 1.
        disturbed: Why it does not count, e.g. "the generator was late"; empty if nothing disturbed it.
        sojourns_s: Sojourn of each job, by its number; NaN where it did not succeed or was due in the lead-in. Lanes of
            a round had the same jobs due at the same times, so their jobs compare one by one.
    """

    trial: int
    kind: Kind
    workload: str
    lane: str
    round: int
    settlement: Settlement
    rate_per_s: float | None
    capacity_per_s: float | None
    achieved_per_s: float | None
    sojourn: Percentiles | None
    publish_lag: Percentiles | None
    cpu_s_per_job: float | None
    negative: int
    start: int = 1
    disturbed: str = ""
    sojourns_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PingTimes:
    """
    The control pings of a workload's trials on a lane.

    Attributes:
        sent: How many were sent.
        answered: How many were answered in time.
        p50_s: Median round trip, in seconds; None if none was answered.
        max_s: The longest one.
    """

    sent: int
    answered: int
    p50_s: float | None
    max_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneResult:
    """
    The figures of one workload on one lane, over all trials but those of the warm-up.

    Attributes:
        workload: What the jobs did.
        lane: The lane's key.
        slots: Its concurrency.
        settlement: What became of the jobs.
        failures: Failed jobs by class of the exception; they add up to the settlement's.
        capacity_per_s: Capacity over the trials; None if no trial could tell.
        rate_per_s: The arrival rate held in the latency trials, their median; None without any.
        backlog: Raw records of all capacity trials together; None without any. Its waits are those of a full queue.
        latency: Raw records of all trials at a held rate together; None without any.
        backlog_cpu_s_per_job: CPU seconds of the lane's nodes per job done in the capacity trials; None if unknown.
        latency_cpu_s_per_job: The same in the latency trials.
        backlog_throttled: The part of the periods of its nodes' CPU quota in which the kernel stopped them, in the
            capacity trials; None if they have no quota.
        latency_throttled: The same in the latency trials.
        ping: Control pings while a backlog was worked off; None without any.
        money_per_million_jobs: The price of the CPU time of a million jobs; None without a price.
    """

    workload: str
    lane: str
    slots: int
    settlement: Settlement
    failures: Mapping[str, int]
    capacity_per_s: Spread | None
    rate_per_s: float | None
    backlog: Latency | None
    latency: Latency | None
    backlog_cpu_s_per_job: float | None
    latency_cpu_s_per_job: float | None
    ping: PingTimes | None = None
    money_per_million_jobs: float | None = None
    backlog_throttled: float | None = None
    latency_throttled: float | None = None

    @property
    def busiest_cpu_s_per_job(self) -> float | None:
        """CPU seconds per job over a backlog, where nothing idles; of a load, which has none, at the rate it held."""
        return self.backlog_cpu_s_per_job or self.latency_cpu_s_per_job


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """
    Everything that the records of a run say.

    Attributes:
        trials: One result a trial, in the order given.
        lanes: One result for each workload on each lane, in the order of their first trial.
        settlement: What became of all jobs of the run.
        unknown_records: Records of jobs that were never sent; they are in no other number.
        fates: What became of each job: columns trial, seq, fate.
    """

    trials: tuple[TrialResult, ...]
    lanes: tuple[LaneResult, ...]
    settlement: Settlement
    unknown_records: int
    fates: pl.DataFrame
