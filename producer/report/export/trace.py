"""
Jobs on a time line, as Chrome trace event JSON, which https://ui.perfetto.dev opens.

A process is a node, a thread one of its slots, and an event a job from started to finished.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from producer.analysis.slots import SLOT, slot_name, with_slots
from producer.plan.stages import STAGES, with_returns
from producer.report.export.rows import deliveries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from producer.report.export.rows import Choice
    from producer.rundir.run import Run

US_PER_S = 1e6
DRAWN = ("started_at", "finished_at")
ARGUMENTS = ("queue_wait", "service")
"""Stages that each event has among its arguments, in ms."""

MS_PER_S = 1000.0


def trace(run: Run, choice: Choice) -> Iterator[str]:
    """
    Write the JSON, an event a line.

    Times are microseconds from the first due instant, which `otherData` has. A delivery that no slot ran has no place
    on the time line; `otherData` says how many there are.

    Raises:
        UsageError: As `deliveries`.
    """
    table = deliveries(run, choice)
    placed = _placed(table)
    zero_at = float(placed["due_at"].min() or 0.0)  # type: ignore[arg-type] # polars types any column's minimum
    other = {
        "run_id": run.manifest.run_id,
        "zero_at": zero_at,
        "deliveries_without_a_slot": table.height - placed.height,
    }
    yield f'{{"displayTimeUnit": "ms", "otherData": {json.dumps(other)}, "traceEvents": [\n'
    before = ""
    for event in _events(placed, zero_at):
        yield before + json.dumps(event, allow_nan=False)
        before = ",\n"
    yield "\n]}\n"


def _placed(table: pl.DataFrame) -> pl.DataFrame:
    """
    Select the deliveries that a slot ran, in order, with the numbers of node and slot and what is drawn of each.

    Events of a thread must not overlap, or a viewer drops one. They do by a little where a clock was set between two
    jobs, so a job is drawn from when the one before had finished; what it took is in the event's arguments.
    """
    ran = with_slots(
        with_returns(table)
        .filter(pl.all_horizontal(pl.col(name).is_not_null() for name in DRAWN))
        .sort("started_at", "seq")
    )
    free_at = pl.col("finished_at").cum_max().shift(1).over(SLOT)
    return (
        ran.with_columns(
            process=pl.col("node").rank("dense"),
            drawn_at=pl.max_horizontal("started_at", free_at),
            slot=pl.struct(pl.col("started_at").min().over(SLOT), *SLOT[1:]).rank("dense").over("node"),
            **{f"{name}_ms": (STAGES[name].took_s * MS_PER_S).round(3) for name in ARGUMENTS},
        )
        .with_columns(drawn_s=pl.max_horizontal(pl.col("finished_at") - pl.col("drawn_at"), 0.0))
        .sort("process", "slot", "drawn_at", maintain_order=True)
    )


def _events(placed: pl.DataFrame, zero_at: float) -> Iterator[dict[str, Any]]:
    slots = placed.group_by("process", "slot", maintain_order=True).first()
    for row in slots.unique("process", keep="first", maintain_order=True).iter_rows(named=True):
        name = f"{row['node']} ({row['pool']})"
        yield {"name": "process_name", "ph": "M", "pid": row["process"], "tid": 0, "args": {"name": name}}
    for row in slots.iter_rows(named=True):
        name = f"slot {row['slot']} (pid {row['pid']}, {slot_name(row, shares_process=True)})"
        yield {"name": "thread_name", "ph": "M", "pid": row["process"], "tid": row["slot"], "args": {"name": name}}
    for row in placed.iter_rows(named=True):
        yield _job(row, zero_at)


def _job(row: Mapping[str, Any], zero_at: float) -> dict[str, Any]:
    """Return a complete event; times in its arguments are as recorded, even below zero."""
    more = {"attempt": row["attempt"]} if row["attempt"] > 1 else {}
    more |= {name: row[name] for name in ("phase", "exception") if row[name] is not None}
    return {
        "name": row["workload"] or "unknown",
        "cat": row["kind"],
        "ph": "X",
        "pid": row["process"],
        "tid": row["slot"],
        "ts": round((row["drawn_at"] - zero_at) * US_PER_S, 1),
        "dur": round(row["drawn_s"] * US_PER_S, 1),
        "args": {
            "trial": row["trial"],
            "seq": row["seq"],
            "due_s": round(row["due_at"] - zero_at, 6),
            **{f"{name}_ms": row[f"{name}_ms"] for name in ARGUMENTS},
            "outcome": row["outcome"],
            **more,
        },
    }
