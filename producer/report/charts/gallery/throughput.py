"""Throughput against slots: what each lane does, what it would do if slots did not stand in each other's way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from producer.report.charts.labels import escaped
from producer.report.charts.layout import error_bars, layout, stacked
from producer.report.charts.picture import Drawn, picture
from producer.report.charts.swept import lane_of, slots_vary
from producer.report.charts.theme import INK, style_of
from producer.report.formats import number
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from producer.report.plain import PlainSummary as Summary
    from producer.rundir.run import Run

ROW = 300
"""Height of a workload's part, in pixels."""

SLOTS = "slots"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """
    Capacity of a lane at one place of the axis.

    Attributes:
        workload: Name of what its jobs do.
        lane: Its key; in a sweep that of the lane that is varied.
        at: Where it stands on the axis; None for its slots.
        slots: How many.
        capacity: `median`, `min`, `max` in jobs/s, and `n` trials.
        service_s: Median time that a job holds a slot at the held rate, where nothing crowds it; None if unknown.
    """

    workload: str
    lane: str
    at: str | None = None
    slots: int
    capacity: Mapping[str, Any]
    service_s: float | None

    @property
    def x(self) -> str | int:
        """Its place on the axis."""
        return self.slots if self.at is None else escaped(self.at)


@picture(
    key="throughput",
    title=f"Throughput against {SLOTS}",
    missing="No lane worked off a backlog: a race measures capacity, and so does a sweep.",
    order=20,
    compares=True,
)
def throughput(summary: Summary, _run: Run) -> Drawn | None:
    """Draw capacity of each lane and workload, with its range, against slots or what else a sweep varied."""
    axis = _axis(summary)
    points = _of_sweep(summary, axis) if summary["sweep"] else _of_race(summary)
    if not points:
        return None
    cores = (summary["machine"] or {}).get("cores_available") if axis == SLOTS else None
    return Drawn(
        title=f"Throughput against {axis}",
        shows=_shows(points, axis),
        reads=_reads(points, axis, cores),
        figure=_figure(points, axis, cores),
        table=_table(points, axis),
    )


def _axis(summary: Summary) -> str:
    """Name what is varied: slots, also where a race has one number of them, and where nodes bring theirs."""
    return SLOTS if not summary["sweep"] or slots_vary(summary) else str(summary["sweep"]["axis"])


def _shows(points: Sequence[Point], axis: str) -> str:
    best = max(points, key=lambda point: point.capacity["median"])
    where = f", {axis} {best.at}" if best.at is not None else ""
    return (
        f"The highest throughput is {number(best.capacity['median'])} jobs/s: {best.workload} on {best.lane} with "
        f"{best.slots} slots{where}, in {best.capacity['n']} trials from {number(best.capacity['min'])} to "
        f"{number(best.capacity['max'])}."
    )


def _reads(points: Sequence[Point], axis: str, cores: int | None) -> str:
    mark = "A mark is the median of a lane's trials, its line the range"
    if axis != SLOTS:
        return f"{mark}; slots are the same at every value, so what differs comes from {axis} and from chance."
    known = any(_ideal_of(points, name) for name in {point.workload for point in points})
    ideal = "; the thin dotted line is what so many slots would do if none waited for another" if known else ""
    rule = f"; the upright line is at the {cores} cores, beyond which a CPU-bound workload cannot rise" if cores else ""
    return f"{mark}{ideal}{rule}."


def _of_race(summary: Summary) -> list[Point]:
    return [
        Point(
            workload=workload["workload"],
            lane=lane["lane"],
            slots=lane["slots"],
            capacity=lane["capacity_per_s"],
            service_s=_service_s(lane),
        )
        for workload in summary["workloads"]
        for lane in workload["lanes"]
        if lane["capacity_per_s"]
    ]


def _service_s(lane: Mapping[str, Any]) -> float | None:
    return ((lane["latency"] or {}).get("service") or {}).get("p50")


def _of_sweep(summary: Summary, axis: str) -> list[Point]:
    (workload, *_) = summary["settings"]["workloads"]
    service_s = {
        (each["workload"], lane_of(summary, lane["lane"])): _service_s(lane)
        for each in summary["workloads"]
        for lane in each["lanes"]
    }
    return [
        Point(
            workload=workload,
            lane=lane["lane"],
            at=None if axis == SLOTS else point["value"],
            slots=lane["slots"],
            capacity=lane["capacity_per_s"],
            service_s=service_s.get((point["workload"], lane["lane"])),
        )
        for point in summary["sweep"]["points"]
        for lane in point["lanes"]
        if lane["capacity_per_s"]
    ]


def _figure(points: Sequence[Point], axis: str, cores: int | None) -> go.Figure:
    workloads = list(dict.fromkeys(point.workload for point in points))
    lanes = list(dict.fromkeys(point.lane for point in points))
    figure = stacked(workloads, 0.3 / len(workloads))
    for row, workload in enumerate(workloads, start=1):
        here = [point for point in points if point.workload == workload]
        for lane in lanes:
            _add_lane(figure, [point for point in here if point.lane == lane], lanes, row)
        if axis == SLOTS:
            _add_ideal(figure, here, row)
        if cores:
            figure.add_vline(x=cores, line={"color": INK, "width": 1, "dash": "dot"}, row=row, col=1)
        figure.update_yaxes(title_text="jobs/s", rangemode="tozero", row=row, col=1)
    # Values of a sweep are names: `0.5` beside `late` is no number, and 1, 4, 16 need no room between them.
    figure.update_xaxes(**{"rangemode": "tozero"} if axis == SLOTS else {"type": "category"})
    layout(figure, x="", y="jobs/s", height=ROW * len(workloads) + 60)
    figure.update_xaxes(title_text=axis, row=len(workloads), col=1)
    return figure


def _add_lane(figure: go.Figure, points: Sequence[Point], lanes: Sequence[str], row: int) -> None:
    if not points:
        return
    own = style_of(lanes, points[0].lane)
    ordered = sorted(points, key=lambda point: point.slots)
    medians, lows, highs = ([each.capacity[name] for each in ordered] for name in ("median", "min", "max"))
    figure.add_scatter(
        x=[point.x for point in ordered],
        y=medians,
        mode="lines+markers",
        name=escaped(points[0].lane),
        legendgroup=points[0].lane,
        showlegend=row == 1,
        line={"color": own.colour, "dash": own.dash},
        # Open, since lanes of one number of slots lie on one another.
        marker={"color": own.colour, "symbol": f"{own.symbol}-open", "size": 12, "line": {"width": 2.5}},
        error_y=error_bars(medians, lows, highs, own.colour),
        hovertemplate="%{y:.3g} jobs/s<extra>%{fullData.name}</extra>",
        row=row,
        col=1,
    )


def _ideal_of(points: Sequence[Point], workload: str) -> float | None:
    return per_slot([point for point in points if point.workload == workload])


def per_slot(points: Sequence[Point]) -> float | None:
    """Return the jobs/s of one slot that nothing slows down: by the shortest service time, or by the fewest slots."""
    if known := [point.service_s for point in points if point.service_s]:
        return 1 / min(known)
    fewest = min(points, key=lambda point: point.slots)
    same = [point for point in points if point.slots == fewest.slots]
    return max(point.capacity["median"] for point in same) / fewest.slots if len(points) > len(same) else None


def _add_ideal(figure: go.Figure, points: Sequence[Point], row: int) -> None:
    one = per_slot(points)
    if one is None:
        return
    most = max(point.slots for point in points)
    figure.add_scatter(
        x=[0, most],
        y=[0, one * most],
        mode="lines",
        name="ideal",
        legendgroup="ideal",
        showlegend=row == 1,
        line={"color": INK, "width": 1, "dash": "dot"},
        hoverinfo="skip",
        row=row,
        col=1,
    )


def _table(points: Sequence[Point], axis: str) -> Table:
    rows = [
        [
            point.workload,
            point.lane,
            str(point.slots),
            *([] if point.at is None else [point.at]),
            *(number(point.capacity[name]) for name in ("median", "min", "max")),
            str(point.capacity["n"]),
        ]
        for point in points
    ]
    varied = [] if axis == SLOTS else [axis]
    return Table(
        title="Jobs per second",
        columns=["workload", "lane", "slots", *varied, "median", "lowest", "highest", "trials"],
        rows=rows,
    )
