"""Cost: CPU seconds of a million jobs, what they cost, and the memory that a node holds while it does them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from producer.report.charts.labels import escaped
from producer.report.charts.layout import layout, stacked
from producer.report.charts.picture import Drawn, picture
from producer.report.charts.swept import lane_of
from producer.report.charts.theme import style_of
from producer.report.formats import number
from producer.report.parts import Table
from producer.report.plain import money_of_a_million, price_of
from producer.report.tables import PRICED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from producer.report.plain import PlainSummary as Summary
    from producer.rundir.run import Run

MILLION = 1_000_000
HOUR_S = 3600
MIB = 2**20

PART, FRAME = 280, 120
"""Height of each of the two charts, and of all else, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """
    The cost of a million jobs of a workload on a lane.

    Attributes:
        workload: Name of what the jobs do.
        lane: Its key; in a sweep that of the lane that is varied.
        under: Whether it was measured over a `backlog` or at a `held rate`.
        cpu_s: CPU seconds of the whole node.
        mib_hours: Memory of the whole node, for as long as a million jobs take at its capacity; None if unknown.
        money: What the CPU time costs at the reader's price; None if there is none.
    """

    workload: str
    lane: str
    under: str
    cpu_s: float
    mib_hours: float | None
    money: float | None

    @property
    def cpu_hours(self) -> float:
        """CPU hours of the whole node."""
        return self.cpu_s / HOUR_S


@picture(
    key="cost",
    title="Cost of a million jobs",
    missing="No node reported its CPU time for a whole trial, so no cost is known: poolrace race asks for it.",
    order=100,
    compares=True,
)
def cost(summary: Summary, _run: Run) -> Drawn | None:
    """Draw what a million jobs of each workload take on each lane."""
    costs = _costs(summary)
    if not costs:
        return None
    return Drawn(
        shows=_shows(costs),
        reads=_reads(costs, summary),
        figure=_figure(costs, summary),
        table=_table(costs, summary),
    )


def _costs(summary: Summary) -> list[Cost]:
    per_slot = {lane["key"]: lane["memory_per_slot_bytes"] for lane in summary["lanes"]}
    return [
        Cost(
            workload=workload["workload"],
            lane=lane_of(summary, lane["lane"]),
            under=under,
            cpu_s=cpu_s * MILLION,
            mib_hours=_held(per_slot.get(lane["lane"]), lane),
            money=lane["money_per_million_jobs"],
        )
        for workload in summary["workloads"]
        for lane in workload["lanes"]
        for under, cpu_s in [_cpu_of_a_job(lane)]
        if cpu_s
    ]


def _cpu_of_a_job(lane: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return the CPU time over a backlog, where nothing idles; a load has none, and counts at the rate it held."""
    if lane["backlog_cpu_s_per_job"]:
        return "backlog", lane["backlog_cpu_s_per_job"]
    return "held rate", lane["latency_cpu_s_per_job"]


def _held(per_slot_bytes: float | None, lane: Mapping[str, Any]) -> float | None:
    """Return MiB-hours: the node's memory for as long as a million jobs take at its capacity."""
    capacity = lane["capacity_per_s"]
    if not per_slot_bytes or not capacity:
        return None
    hours = MILLION / float(capacity["median"]) / HOUR_S
    return per_slot_bytes * int(lane["slots"]) / MIB * hours


def _shows(costs: Sequence[Cost]) -> str:
    dear, cheap = max(costs, key=lambda each: each.cpu_s), min(costs, key=lambda each: each.cpu_s)
    most = f"A million {dear.workload} jobs on {dear.lane} take {number(dear.cpu_hours)} CPU hours of the node"
    if dear is cheap:
        return f"{most}."
    return f"{most}, the most, and {cheap.workload} jobs on {cheap.lane} {number(cheap.cpu_hours)}, the least."


def _reads(costs: Sequence[Cost], summary: Summary) -> str:
    under = " and ".join(f"at a {each}" if each == "held rate" else f"over a {each}" for each in _unders(costs))
    money = (
        PRICED.format(price_of(summary)).replace("Money", "money", 1)
        if summary["price"]
        else "multiply it by what a core-hour costs you, or say it: poolrace report --core-hour 0.04"
    )
    cpu = f"A bar is the CPU time of the whole node {under}, with what Celery itself takes: {money}"
    if not _remembers(costs):
        return f"{cpu}; what they hold of memory is not known here: poolrace race measures it."
    return f"{cpu}. Below is the memory that the node holds, for as long as it would take for them at its capacity."


def _unders(costs: Sequence[Cost]) -> list[str]:
    return list(dict.fromkeys(each.under for each in costs))


def _remembers(costs: Sequence[Cost]) -> bool:
    return any(each.mib_hours is not None for each in costs)


def _figure(costs: Sequence[Cost], summary: Summary) -> go.Figure:
    parts = [
        ("CPU hours", "cpu_hours"),
        *([(money_of_a_million(summary), "money")] if summary["price"] else []),
        *([("MiB-hours", "mib_hours")] if _remembers(costs) else []),
    ]
    figure = stacked([name for name, _ in parts], 0.4 / len(parts))
    keys = list(dict.fromkeys(each.lane for each in costs))
    for row, (unit, field) in enumerate(parts, start=1):
        for key in keys:
            own, mine = style_of(keys, key), [each for each in costs if each.lane == key]
            figure.add_bar(
                x=[escaped(each.workload) for each in mine],
                y=[getattr(each, field) for each in mine],
                name=escaped(key),
                marker={"color": own.colour, "pattern": {"shape": own.pattern}},
                legendgroup=key,
                showlegend=row == 1,
                hovertemplate=f"%{{y:.3g}} {escaped(unit)}<extra>%{{fullData.name}}</extra>",
                row=row,
                col=1,
            )
    layout(figure, x="", y="", height=PART * len(parts) + FRAME)
    # A workload's name is a word even if it looks like a number.
    return figure.update_xaxes(type="category")


def _table(costs: Sequence[Cost], summary: Summary) -> Table:
    priced = bool(summary["price"])
    return Table(
        title="For a million jobs",
        columns=[
            "workload",
            "lane",
            "measured under",
            "CPU hours",
            "CPU seconds",
            "MiB-hours",
            *([money_of_a_million(summary)] if priced else []),
        ],
        rows=[
            [
                each.workload,
                each.lane,
                each.under,
                number(each.cpu_hours),
                number(each.cpu_s),
                number(each.mib_hours),
                *([number(each.money)] if priced else []),
            ]
            for each in costs
        ],
    )
