"""The summary of a race as that of a sweep, for what is drawn and said of one."""

from dataclasses import replace

from producer.analysis.percentiles import Spread
from producer.analysis.settle import Settlement
from producer.analysis.sweep import SweepLane, SweepPoint, SweepSummary
from producer.plan.run_settings import PlannedPoint, SweepOptions


def capacity(median, low=None, high=None, n=3):
    """A capacity over some trials, of which all gave the same unless told otherwise."""
    return Spread(n=n, median=median, min=median if low is None else low, max=median if high is None else high)


def lane_at(lane, slots=1, **figures):
    """A lane at one value, of which nothing is known but these figures."""
    unknown = dict.fromkeys(
        ("capacity_per_s", "rate_per_s", "sojourn", "memory_bytes", "memory_per_slot_bytes", "cpu_s_per_job")
    )
    return SweepLane(lane=lane, slots=slots, settlement=Settlement(sent=0), **{**unknown, **figures})


def point(value, *lanes, workload="sleep"):
    """A value that was measured."""
    return SweepPoint(value=value, workload=workload, lanes=lanes, verdicts=())


def planned(value, workload="sleep", **lanes):
    """A value that was planned; lanes are the lane that was varied by its key at the value."""
    return PlannedPoint(value=value, workload=workload, lanes=lanes)


def with_plan(summary, *points, axis="concurrency"):
    """A summary whose lanes are those of a sweep's values."""
    base = summary.settings.lanes
    sweep = SweepOptions(axis=axis, base=base, points=points, memory_bytes=None)
    return replace(summary, settings=replace(summary.settings, kind="sweep", sweep=sweep))


def swept(summary, *points, axis="concurrency", memory_bytes=None, scaling=None, distance=None):
    """A summary as that of a sweep with these points."""
    found = SweepSummary(
        axis=axis, memory_bytes=memory_bytes, points=points, findings=(), crossover=None, scaling=scaling,
        distance=distance,
    )  # fmt: skip
    return replace(summary, sweep=found)
