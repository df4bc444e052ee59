"""Memory per slot, from samples of the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl

from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.plan.lanes import Lane
    from producer.rundir.run import Run


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
