"""Cost: CPU seconds of a million jobs, and the memory that a node holds while it does them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from producer.charts.picture import Picture
from producer.charts.theme import layout, look, text
from producer.report.formats import number
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.rundir import Run

KEY, TITLE = "cost", "Cost of a million jobs"
MILLION = 1_000_000
HOUR_S = 3600
MIB = 2**20

Row = tuple[str, str, float, float | None]
"""Workload, lane, CPU hours and MiB-hours (None if the memory is unknown) of a million jobs."""


def cost(summary: Mapping[str, Any], run: Run) -> Picture:  # noqa: ARG001 - all pictures are asked alike
    """What a million jobs of each workload take on each lane."""
    rows = _rows(summary)
    if not rows:
        return Picture(
            key=KEY, title=TITLE,
            missing="No node told its CPU time for a whole trial, so no job's cost is known. A race asks for it.",
        )  # fmt: skip
    dear = max(rows, key=lambda row: row[2])
    return Picture(
        key=KEY,
        title=TITLE,
        shows=f"A million {dear[0]} jobs on {dear[1]} take the most, {number(dear[2])} CPU hours of the node.",
        reads=(
            "A bar is the CPU time of the whole node over a backlog, with what Celery itself takes: multiply it by "
            "what a core-hour costs you. The table has the memory beside it, as MiB held for an hour."
        ),
        figure=_figure(rows),
        table=Table(
            title="For a million jobs",
            columns=["workload", "lane", "CPU hours", "CPU seconds", "MiB-hours"],
            rows=[
                [workload, lane, number(hours), number(hours * HOUR_S), number(held)]
                for workload, lane, hours, held in rows
            ],
        ),
    )


def _rows(summary: Mapping[str, Any]) -> list[Row]:
    per_slot = {lane["key"]: lane["memory_per_slot_bytes"] for lane in summary["lanes"]}
    return [
        (
            workload["workload"], lane["lane"], lane["backlog_cpu_s_per_job"] * MILLION / HOUR_S,
            _held(per_slot.get(lane["lane"]), lane),
        )
        for workload in summary["workloads"]
        for lane in workload["lanes"]
        if lane["backlog_cpu_s_per_job"]
    ]  # fmt: skip


def _held(per_slot_bytes: float | None, lane: Mapping[str, Any]) -> float | None:
    """MiB-hours: the node's memory for as long as a million jobs take at its capacity."""
    capacity = lane["capacity_per_s"]
    if not per_slot_bytes or not capacity:
        return None
    hours = MILLION / float(capacity["median"]) / HOUR_S
    return per_slot_bytes * int(lane["slots"]) / MIB * hours


def _figure(rows: Sequence[Row]) -> go.Figure:
    figure = go.Figure()
    keys = list(dict.fromkeys(lane for _, lane, _, _ in rows))
    for key in keys:
        own = look(keys, key)
        mine = [(workload, hours) for workload, lane, hours, _ in rows if lane == key]
        figure.add_bar(
            x=[text(workload) for workload, _ in mine], y=[hours for _, hours in mine], name=text(key),
            marker={"color": own.colour, "pattern": {"shape": own.pattern}},
            hovertemplate="%{y:.2f} CPU hours<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    return layout(figure, x="workload", y="CPU hours for a million jobs")
