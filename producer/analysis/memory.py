"""Memory per slot, from samples of the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from poolrace.pools import has_children
from producer.plan.lane_settings import MAX_MEMORY, MAX_MEMORY_BYTES
from producer.plan.units import parse_size_bytes
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.plan.lanes import Lane
    from producer.rundir.run import Run

MIB = 2**20
FEW_JOBS = 10
"""A child that does no more jobs than this costs more to start than its jobs gain by it."""


def memory_per_slot_bytes(
    samples: pl.DataFrame,
    *,
    lane: str,
    windows: Sequence[tuple[float, float]],
    slots: int,
    column: Literal["pss_bytes", "private_bytes"] = "pss_bytes",
) -> float | None:
    """
    Return what a slot costs in memory while its lane works.

    The median over time of each node's proportional set size, summed over the lane's nodes, divided by their slots.

    Args:
        samples: Columns lane, node, at, and the one asked for (of the node's process tree; null where the system cannot
            tell).
        lane: Key of the lane.
        windows: From when to when the lane worked, both ends included: its trials.
        slots: Concurrency of the lane, all nodes together.
        column: The whole PSS, or what of it the processes have to themselves.

    Returns:
        Bytes per slot; None if any of the lane's nodes was never sampled while it worked.
    """
    if slots < 1:
        raise ValueError(f"slots {slots!r}: must be 1 or more")
    working = [pl.col("at").is_between(began_at, ended_at) for began_at, ended_at in windows]
    seen = pl.col(column).filter(pl.any_horizontal(pl.lit(False), *working))
    medians = samples.filter(pl.col("lane") == lane).group_by("node").agg(seen.median())[column]
    return float(medians.sum()) / slots if medians.len() and not medians.null_count() else None


def lane_memory_per_slot_bytes(
    run: Run, lane: Lane, column: Literal["pss_bytes", "private_bytes"] = "pss_bytes"
) -> float | None:
    """Return what a slot of a lane takes over all trials but the warm-up; None if it was never sampled."""
    windows = [(t.began_at, t.ended_at) for t in run.trials if t.lane == lane.key and t.kind is not Kind.WARM_UP]
    return memory_per_slot_bytes(run.samples, lane=lane.key, windows=windows, slots=lane.slots, column=column)


def recycling_warnings(run: Run) -> list[str]:
    """Return where a limit on the memory of children is so low that they are replaced all the time."""
    app = run.manifest.settings.app
    found = []
    for lane in run.manifest.settings.lanes:
        limit_bytes = _limit_bytes(lane, app.facts if app else {})
        jobs = _jobs_of_a_child(run, lane) if limit_bytes and has_children(lane.pool) else None
        if limit_bytes and jobs is not None and jobs <= FEW_JOBS:
            found.append(
                f"On {lane.key} a child does {jobs:.2g} jobs before it is replaced, and the next waits for another: "
                f"worker_max_memory_per_child is {limit_bytes / MIB:.0f} MiB. Celery looks at what the child has taken "
                "at most, the app's imports included; set it well above that."
            )
    return found


def _jobs_of_a_child(run: Run, lane: Lane) -> float | None:
    """Return how many jobs a child does in a trial, of trials in which most are replaced; None if there is none."""
    trials = [t.trial for t in run.trials if t.lane == lane.key and t.kind is not Kind.WARM_UP]
    children = pl.struct("node", "pid").n_unique().alias("children")
    counted = run.records.filter(pl.col("trial").is_in(trials)).group_by("trial").agg(pl.len().alias("jobs"), children)
    replaced = counted.filter(pl.col("children") >= 2 * lane.slots)
    return float(replaced["jobs"].sum()) / float(replaced["children"].sum()) if replaced.height else None


def _limit_bytes(lane: Lane, facts: Mapping[str, Any]) -> float | None:
    """Return the limit on a child's memory: the lane's, or else the app's, which Celery counts in KiB."""
    if text := dict(lane.settings).get(MAX_MEMORY):
        return parse_size_bytes(text, MAX_MEMORY, MAX_MEMORY_BYTES)
    kib = facts.get("max_memory_kib")
    return kib * 1024 if kib else None
