"""Throughput against slots: what each lane does, what it would do if slots did not stand in each other's way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plotly.subplots import make_subplots

from producer.charts.picture import Picture
from producer.charts.theme import FONT, INK, layout, look, text
from producer.report.formats import number
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from producer.rundir import Run

KEY, TITLE = "throughput", "Throughput against slots"
ROW = 300
"""Height of a workload's part, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """
    Capacity of a lane with some slots.

    Attributes:
        workload: What its jobs do.
        lane: Its key; in a sweep that of the lane that is varied.
        slots: How many.
        capacity: `median`, `min`, `max` in jobs/s, and `n` trials.
        service_s: Median time that a job holds a slot at the held rate, where nothing crowds it; None if unknown.
    """

    workload: str
    lane: str
    slots: int
    capacity: Mapping[str, Any]
    service_s: float | None


def throughput(summary: Mapping[str, Any], run: Run) -> Picture:  # noqa: ARG001 - all pictures are asked alike
    """Capacity of each lane and workload, with its range, against slots."""
    points = [*_of_race(summary), *_of_sweep(summary)]
    if not points:
        return Picture(
            key=KEY, title=TITLE,
            missing="No lane worked off a backlog: a race measures capacity, and so does a sweep.",
        )  # fmt: skip
    best = max(points, key=lambda point: point.capacity["median"])
    cores = summary["machine"]["cores_available"] if summary["machine"] else None
    rule = f", the upright one the {cores} cores" if cores else ""
    return Picture(
        key=KEY,
        title=TITLE,
        shows=(
            f"The highest throughput is {number(best.capacity['median'])} jobs/s: {best.workload} on {best.lane} with "
            f"{best.slots} slots, in {best.capacity['n']} trials from {number(best.capacity['min'])} to "
            f"{number(best.capacity['max'])}."
        ),
        reads=(
            "A mark is the median of a lane's trials, its line the range; the thin dotted line is what so many slots "
            f"would do if none waited for another{rule}: a CPU-bound workload cannot rise beyond those."
        ),
        figure=_figure(points, cores),
        table=_table(points),
    )


def _of_race(summary: Mapping[str, Any]) -> list[Point]:
    return [
        Point(
            workload=workload["workload"], lane=lane["lane"], slots=lane["slots"], capacity=lane["capacity_per_s"],
            service_s=((lane["latency"] or {}).get("service") or {}).get("p50"),
        )
        for workload in summary["workloads"]
        for lane in workload["lanes"]
        if lane["capacity_per_s"] and not summary["sweep"]
    ]  # fmt: skip


def _of_sweep(summary: Mapping[str, Any]) -> list[Point]:
    return [
        Point(
            workload=point["workload"], lane=lane["lane"], slots=lane["slots"], capacity=lane["capacity_per_s"],
            service_s=None,
        )
        for point in (summary["sweep"] or {"points": []})["points"]
        for lane in point["lanes"]
        if lane["capacity_per_s"]
    ]  # fmt: skip


def _figure(points: Sequence[Point], cores: int | None) -> go.Figure:
    workloads = list(dict.fromkeys(point.workload for point in points))
    lanes = list(dict.fromkeys(point.lane for point in points))
    figure = make_subplots(
        rows=len(workloads),
        cols=1,
        subplot_titles=[text(name) for name in workloads],
        vertical_spacing=0.3 / len(workloads),
    )
    for row, workload in enumerate(workloads, start=1):
        here = [point for point in points if point.workload == workload]
        for lane in lanes:
            _add_lane(figure, [point for point in here if point.lane == lane], lanes, row)
        _add_ideal(figure, here, row)
        if cores:
            figure.add_vline(x=cores, line={"color": INK, "width": 1, "dash": "dot"}, row=row, col=1)
        figure.update_yaxes(title_text="jobs/s", rangemode="tozero", row=row, col=1)
    figure.update_xaxes(title_text="slots", rangemode="tozero", row=len(workloads), col=1)
    layout(figure, x="", y="jobs/s", height=ROW * len(workloads) + 60)
    return figure.update_annotations(font={"family": FONT, "color": INK, "size": 14})


def _add_lane(figure: go.Figure, points: Sequence[Point], lanes: Sequence[str], row: int) -> None:
    if not points:
        return
    own = look(lanes, points[0].lane)
    ordered = sorted(points, key=lambda point: point.slots)
    medians = [point.capacity["median"] for point in ordered]
    figure.add_scatter(
        x=[point.slots for point in ordered], y=medians, mode="lines+markers", name=text(points[0].lane),
        legendgroup=points[0].lane, showlegend=row == 1, line={"color": own.colour, "dash": own.dash},
        marker={"color": own.colour, "symbol": own.symbol, "size": 11},
        error_y={
            "array": [point.capacity["max"] - point.capacity["median"] for point in ordered],
            "arrayminus": [point.capacity["median"] - point.capacity["min"] for point in ordered],
            "color": own.colour, "thickness": 2,
        },
        row=row, col=1,
    )  # fmt: skip


def per_slot(points: Sequence[Point]) -> float | None:
    """Jobs/s of one slot that nothing slows down: by the shortest service time, or by the fewest slots."""
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
        x=[0, most], y=[0, one * most], mode="lines", name="ideal", legendgroup="ideal", showlegend=row == 1,
        line={"color": INK, "width": 1, "dash": "dot"}, hoverinfo="skip", row=row, col=1,
    )  # fmt: skip


def _table(points: Sequence[Point]) -> Table:
    rows = [
        [
            point.workload, point.lane, str(point.slots), number(point.capacity["median"]),
            number(point.capacity["min"]),            number(point.capacity["max"]), str(point.capacity["n"]),
        ]
        for point in points
    ]  # fmt: skip
    return Table(
        title="Jobs per second",
        columns=["workload", "lane", "slots", "median", "lowest", "highest", "trials"],
        rows=rows,
    )
