"""The settings of a run as its manifest records them: what every kind of run has, and a part for each kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from producer.plan.lanes import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """
    A user's own app.

    Attributes:
        app: As `celery -A` takes it.
        folder: Where it is run.
        facts: What it said of itself, and what is changed of its settings.
        shares: How many of all jobs are of each task, from 0 to 1.
        timeout_s: How long to wait for the end of a job, in seconds.
        backend: Where its results go, as a sentence.
    """

    app: str
    folder: str
    facts: Mapping[str, Any]
    shares: Mapping[str, float]
    timeout_s: float
    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceOptions:
    """
    The options of a race, and of the small races of a sweep.

    Attributes:
        pairs: Trials of each kind on each lane, per workload; None if they went where they decided most.
        at_most_s: How long it could measure, in seconds; None for as long as it took.
        trial_s: How long a trial should take, in seconds.
        utilisation: The held arrival rate as a part of the slower lane's capacity.
        rate_per_s: The arrival rate to hold instead, in jobs per second; None to take it from the capacity.
        margin: Lanes that differ by less than this share show no difference.
        quick: The user asked for the short form.
        apart: Tasks with the key of the lane that took their jobs in trials of the mix apart.
    """

    pairs: int | None
    trial_s: float
    utilisation: float
    rate_per_s: float | None
    margin: float
    quick: bool
    at_most_s: float | None = None
    apart: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPhase:
    """
    A phase of a load as it was planned.

    Attributes:
        name: Its name in reports.
        rate: Its profile, as text.
        duration_s: How long it takes, in seconds.
        mix: Shares of the workloads.
        counts: Whether thresholds and the lane's own figures take its jobs in.
    """

    name: str
    rate: str
    duration_s: float
    mix: Mapping[str, float]
    counts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """
    The options of a load.

    Attributes:
        scenario: The file that its phases are from; empty if they are from the command line.
        profile: Its profile, as text.
        replay: Jobs come as they were recorded.
        duration_s: How long it takes, in seconds.
        offered_per_s: Its mean arrival rate, in jobs per second.
        phases: Its phases, in order.
        thresholds: What it must keep, as it was written.
        abort_after_s: It ends when a threshold is broken after so many seconds; None to go on to the end.
        payload_bytes: Length of a text that each message carries besides.
        priority: Of the messages; None for none.
    """

    scenario: str
    profile: str
    replay: bool
    duration_s: float
    offered_per_s: float
    phases: tuple[PlannedPhase, ...]
    thresholds: tuple[str, ...]
    abort_after_s: float | None
    payload_bytes: int
    priority: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """
    The options of a search for the limit.

    Attributes:
        slo: What must be kept at a rate for the lane to hold it, as it was written.
        mix: Shares of the workloads.
        probe_s: How long each probe takes, in seconds.
        precision: How long the limit's interval may be, as a part of its lower end.
        most_probes: How many probes a lane has at most.
        first_per_s: The first rate to probe, in jobs per second; None to take it from the warm-up.
    """

    slo: tuple[str, ...]
    mix: Mapping[str, float]
    probe_s: float
    precision: float
    most_probes: int
    first_per_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPoint:
    """
    A value of a sweep as it was planned.

    Attributes:
        value: The value, as it was written.
        workload: The name of its jobs in trials and records.
        lanes: For each lane of this value, the key of the lane that was varied.
    """

    value: str
    workload: str
    lanes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """
    The options of a sweep.

    Attributes:
        axis: What is varied.
        base: The lanes before anything is varied.
        points: The values, in order.
        memory_bytes: The memory that a lane may take, for the recommendation; None for no bound.
    """

    axis: str
    base: tuple[Lane, ...]
    points: tuple[PlannedPoint, ...]
    memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakOptions:
    """
    The options of a soak.

    Attributes:
        for_s: How long it measured, in seconds.
        recycled: Lanes that replace a child after some jobs, each with the key of the same lane without that.
        recycle_jobs: After how many jobs they replace a child.
        tolerated_bytes_per_h: A process that grows by no more than this in an hour of work leaks nothing that matters.
    """

    for_s: float
    recycled: Mapping[str, str]
    recycle_jobs: int
    tolerated_bytes_per_h: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """
    The settings of a run; never the broker's URL, which may hold a password.

    Attributes:
        kind: The kind of run, e.g. `race`.
        lanes: The configurations under test; the first is the baseline in reports.
        workloads: Their names, in the order they run.
        job_s: How long a job should hold a slot, in seconds; None for each workload's own default.
        cpu_share: Part of a mixed job that computes, from 0 to 1; None for its default.
        arrivals: `poisson` or `constant`.
        seed: Of arrivals and of the order of lanes.
        publishers: Publisher processes.
        expect_publishers: Publishers of other hosts that sent in their place; None for none.
        start_nodes: The run started its nodes; otherwise it took those that ran already.
        expect_nodes: How many of those it waited for; None for any two, or for one of each queue.
        queues: Queues of theirs that are a lane each; empty for a lane a pool.
        ready_s: How long a node may take to become ready, in seconds.
        out: Where run directories go.
        app: A user's own app, whose tasks are the workloads; None for the demonstration's.
        race: Of a race, a sweep and a soak.
        load: Of a load.
        limit: Of a search for the limit.
        sweep: Of a sweep.
        soak: Of a soak.
    """

    kind: str
    lanes: tuple[Lane, ...]
    workloads: tuple[str, ...]
    job_s: float | None
    cpu_share: float | None
    arrivals: str
    seed: int
    publishers: int
    start_nodes: bool
    expect_nodes: int | None
    queues: tuple[str, ...]
    ready_s: float
    out: str
    expect_publishers: int | None = None
    app: AppSettings | None = None
    race: RaceOptions | None = None
    load: LoadOptions | None = None
    limit: LimitOptions | None = None
    sweep: SweepOptions | None = None
    soak: SoakOptions | None = None

    @property
    def base_lanes(self) -> tuple[Lane, ...]:
        """The lanes before anything was varied."""
        return self.sweep.base if self.sweep else self.lanes
