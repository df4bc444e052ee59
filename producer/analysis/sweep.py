"""The findings of a sweep: each value, the best one, the knee, the crossover and the scaling. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from poolrace.pools import POOLS
from producer.analysis.kind import KindParts, RunKind
from producer.analysis.memory import memory_per_slot_bytes
from producer.analysis.percentiles import Percentiles, Spread
from producer.analysis.settle import Settlement
from producer.analysis.usl import Law, fit
from producer.analysis.verdict import Verdict
from producer.analysis.verdict_words import NO_DIFFERENCE
from producer.plan.lane_settings import RTT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.analysis.results import Analysis, LaneResult
    from producer.plan.run_settings import PlannedPoint, SweepOptions
    from producer.rundir.run import Run

ENOUGH = 0.95
"""The knee is the smallest value that gives this part of the best capacity."""

SLOTS_VARY = frozenset({"concurrency", "nodes"})
"""The axes along which the number of slots changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepLane:
    """
    A lane at one value of a sweep.

    Attributes:
        lane: Key of the lane that was varied.
        slots: Jobs that it ran at once.
        capacity_per_s: Capacity over its trials; None if no trial could tell.
        rate_per_s: The arrival rate held in the latency trials; None without any.
        sojourn: Finished minus due in the latency trials; None without any.
        memory_bytes: Memory of all its nodes; None if unknown.
        memory_per_slot_bytes: The same by slot.
        cpu_s_per_job: CPU seconds of its nodes per job done in the capacity trials; None if unknown.
        settlement: What became of its jobs.
        ping_s: How long the broker took to answer a PING from where its nodes were, in seconds; None unless a distance
            was asked for.
    """

    lane: str
    slots: int
    capacity_per_s: Spread | None
    rate_per_s: float | None
    sojourn: Percentiles | None
    memory_bytes: float | None
    memory_per_slot_bytes: float | None
    cpu_s_per_job: float | None
    settlement: Settlement
    ping_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """
    One value of a sweep.

    Attributes:
        value: The value, as it was written.
        workload: The name of its jobs in trials and records.
        lanes: Each lane at this value.
        verdicts: The lanes against each other.
    """

    value: str
    workload: str
    lanes: tuple[SweepLane, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    The conclusions of the values for a lane.

    Attributes:
        lane: The lane's key.
        best: The value with the highest capacity; None if none was measured.
        knee: The value with the fewest slots that gives 95 % of it; None where slots do not vary.
        recommended: The same among the values that fit into the memory; None if none does.
        fits: The values that fit.
    """

    lane: str
    best: str | None
    knee: str | None
    recommended: str | None
    fits: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """
    The CPU share at which threads stop keeping up with prefork, by the verdicts on capacity.

    Attributes:
        threads_hold_to: The highest CPU share at which they are no worse; None if there is none.
        prefork_wins_from: The lowest CPU share at which prefork is better; None if there is none.
        one_core: The pools that stand for threads, whose jobs share one core: `threads`, `solo`, `gevent`.
        many_cores: The pools that stand for prefork.
    """

    threads_hold_to: float | None
    prefork_wins_from: float | None
    one_core: tuple[str, ...]
    many_cores: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneScaling:
    """
    The scaling of a lane over its nodes.

    Attributes:
        lane: The lane's key.
        law: The fit of the Universal Scalability Law; None where too few numbers of nodes were measured.
    """

    lane: str
    law: Law | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneAtDistance:
    """
    The capacity of a lane near its broker and far from it.

    Attributes:
        lane: The lane's key.
        near_ping_s: How long a PING took where it took least, in seconds.
        near_per_s: The capacity there, the median of its trials.
        far_ping_s: How long a PING took where it took longest, in seconds.
        far_per_s: The capacity there.
    """

    lane: str
    near_ping_s: float
    near_per_s: float
    far_ping_s: float
    far_per_s: float

    @property
    def kept(self) -> float:
        """The part of its capacity that it keeps where it is far."""
        return self.far_per_s / self.near_per_s

    @property
    def jobs_a_round_trip(self) -> float:
        """How many jobs it does in a round trip where it is far."""
        return self.far_per_s * self.far_ping_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """
    The findings of a sweep.

    Attributes:
        axis: What was varied.
        memory_bytes: The memory that a lane may take; None for no bound.
        points: The values that were measured, in order.
        findings: What follows, by lane.
        crossover: Of a sweep over CPU shares; None of others.
        scaling: Of a sweep over nodes, by lane; None of others.
        distance: Of a sweep over round trips, by lane; None of others.
    """

    axis: str
    memory_bytes: int | None
    points: tuple[SweepPoint, ...]
    findings: tuple[Finding, ...]
    crossover: Crossover | None
    scaling: tuple[LaneScaling, ...] | None
    distance: tuple[LaneAtDistance, ...] | None = None


def sweep_parts(run: Run, analysis: Analysis, verdicts: Sequence[Verdict]) -> KindParts:
    """Return what a sweep found at each value."""
    return KindParts(found=sweep_summary(run, analysis, verdicts))


def sweep_summary(run: Run, analysis: Analysis, verdicts: Sequence[Verdict]) -> SweepSummary | None:
    """Return a sweep's points in order, and what they say of each lane; None for a run of another kind."""
    options = run.manifest.settings.sweep
    if options is None:
        return None
    points = tuple(_point(run, analysis, verdicts, point) for point in options.points)
    points = tuple(point for point in points if point.lanes)
    pools = {lane.key: lane.pool for lane in options.base}
    return SweepSummary(
        axis=options.axis,
        memory_bytes=options.memory_bytes,
        points=points,
        findings=tuple(_finding(lane.key, points, options) for lane in options.base) if points else (),
        crossover=_crossover(points, pools) if options.axis == "cpu-share" else None,
        scaling=_scaling(analysis, options) if options.axis == "nodes" else None,
        distance=_distance(points, options) if options.axis == RTT else None,
    )


def _point(run: Run, analysis: Analysis, verdicts: Sequence[Verdict], point: PlannedPoint) -> SweepPoint:
    found = [result for result in analysis.lanes if result.workload == point.workload]
    return SweepPoint(
        value=point.value,
        workload=point.workload,
        lanes=tuple(_lane(run, result, point.lanes.get(result.lane, result.lane)) for result in found),
        verdicts=tuple(verdict for verdict in verdicts if verdict.workload == point.workload),
    )


def _lane(run: Run, result: LaneResult, base: str) -> SweepLane:
    windows = list(_visits(run, result))
    per_slot = memory_per_slot_bytes(run.samples, lane=result.lane, windows=windows, slots=result.slots)
    return SweepLane(
        lane=base,
        slots=result.slots,
        capacity_per_s=result.capacity_per_s,
        rate_per_s=result.rate_per_s,
        sojourn=result.latency.sojourn if result.latency else None,
        memory_bytes=None if per_slot is None else per_slot * result.slots,
        memory_per_slot_bytes=per_slot,
        cpu_s_per_job=result.backlog_cpu_s_per_job,
        settlement=result.settlement,
        ping_s=next((each.ping_s for each in run.manifest.distances if each.lane == result.lane), None),
    )


def _visits(run: Run, result: LaneResult) -> Iterator[tuple[float, float]]:
    """
    Yield from when to when a lane worked at its value, once for each time that the sweep came to it.

    What lies between the turns of a visit is in it: a short turn may have no sample of its own.
    """
    for workload, trials in groupby(run.trials, key=lambda trial: trial.workload):
        turns = [trial for trial in trials if trial.lane == result.lane]
        if workload == result.workload and turns:
            yield min(trial.began_at for trial in turns), max(trial.ended_at for trial in turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A value at which a lane's capacity is known."""

    value: str
    slots: int
    capacity_per_s: float
    memory_bytes: float | None


def _finding(lane: str, points: Sequence[SweepPoint], options: SweepOptions) -> Finding:
    """Return the best value of a lane, its knee, and the smallest that gives nearly as much as the best that fits."""
    known = [
        _Row(
            value=point.value, slots=row.slots, capacity_per_s=row.capacity_per_s.median, memory_bytes=row.memory_bytes
        )
        for point in points
        for row in point.lanes
        if row.lane == lane and row.capacity_per_s
    ]
    bound = options.memory_bytes
    fitting = [row for row in known if bound is None or (row.memory_bytes or float("inf")) <= bound]
    slots_vary = options.axis in SLOTS_VARY
    return Finding(
        lane=lane,
        best=_best(known),
        knee=_knee(known) if slots_vary else None,
        recommended=(_knee if slots_vary else _best)(fitting),
        fits=tuple(row.value for row in fitting),
    )


def _best(rows: Sequence[_Row]) -> str | None:
    return max(rows, key=lambda row: row.capacity_per_s).value if rows else None


def _knee(rows: Sequence[_Row]) -> str | None:
    most = max((row.capacity_per_s for row in rows), default=0.0)
    enough = [row for row in rows if row.capacity_per_s >= ENOUGH * most]
    return min(enough, key=lambda row: row.slots).value if enough else None


def _distance(points: Sequence[SweepPoint], options: SweepOptions) -> tuple[LaneAtDistance, ...]:
    """Return the lanes that were measured at two distances or more."""
    found = []
    for base in options.base:
        known = [
            (row.ping_s, row.capacity_per_s.median)
            for point in points
            for row in point.lanes
            if row.lane == base.key and row.ping_s is not None and row.capacity_per_s
        ]
        if len(known) > 1:
            (near_s, near_per_s), (far_s, far_per_s) = min(known), max(known)
            found.append(
                LaneAtDistance(
                    lane=base.key, near_ping_s=near_s, near_per_s=near_per_s, far_ping_s=far_s, far_per_s=far_per_s
                )
            )
    return tuple(found)


def _scaling(analysis: Analysis, options: SweepOptions) -> tuple[LaneScaling, ...]:
    """Return the law of each lane, from every trial of capacity."""
    measured: dict[str, dict[int, list[float]]] = {lane.key: {} for lane in options.base}
    for point in options.points:
        for key, base in point.lanes.items():
            measured[base][int(point.value)] = [
                trial.capacity_per_s
                for trial in analysis.trials
                if (trial.lane, trial.workload) == (key, point.workload) and trial.capacity_per_s
            ]
    return tuple(LaneScaling(lane=lane, law=fit(found)) for lane, found in measured.items())


def _crossover(points: Sequence[SweepPoint], pools: Mapping[str, str]) -> Crossover:
    """Return up to which CPU share threads are no worse, and from which on they are: by the verdicts on capacity."""
    between = [
        (float(point.value), verdict)
        for point in points
        for verdict in point.verdicts
        if verdict.measure == "capacity"
        and {_is_parallel(pools[verdict.a]), _is_parallel(pools[verdict.b])} == {True, False}
    ]
    judged = [(share, pools.get(verdict.word, verdict.word)) for share, verdict in between]
    first = min((share for share, word in judged if _is_parallel(word)), default=None)
    kept = [
        share
        for share, word in judged
        if (word == NO_DIFFERENCE or _is_parallel(word) is False) and (first is None or share < first)
    ]
    met = {pools[lane] for _, verdict in between for lane in (verdict.a, verdict.b)} or set(pools.values())
    return Crossover(
        threads_hold_to=max(kept, default=None),
        prefork_wins_from=first,
        one_core=tuple(sorted(pool for pool in met if not _is_parallel(pool))),
        many_cores=tuple(sorted(pool for pool in met if _is_parallel(pool))),
    )


def _is_parallel(pool: str) -> bool | None:
    """Check whether Python of several jobs runs on several cores of a pool; None for a pool that is not known."""
    return POOLS[pool].has_parallel_python if pool in POOLS else None


SWEEP = RunKind(name="sweep", summarise=sweep_parts, comparable=True)
