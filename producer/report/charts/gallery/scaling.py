"""Scaling: throughput against nodes, with the law that was fitted to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from producer.report.charts.labels import escaped
from producer.report.charts.layout import error_bars, layout
from producer.report.charts.picture import Drawn, Missing, picture
from producer.report.charts.theme import INK, style_of
from producer.report.formats import number, percent
from producer.report.parts import Table
from producer.report.sweep import scaling_sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from producer.analysis.percentiles import Spread
    from producer.analysis.summary import Summary
    from producer.analysis.sweep import SweepSummary
    from producer.analysis.usl import Estimate, Law
    from producer.report.charts.theme import LaneStyle
    from producer.rundir.run import Run

NOT_VARIED = (
    "Nodes were not varied, so there is no law of scaling to fit. A sweep over them has one: "
    "poolrace sweep --over nodes=1,2,4."
)
CUT_SHORT = Missing("No number of nodes was measured to the end. Sweep again: poolrace sweep --over nodes=1,2,4.")
CURVE = 60
"""Points of a curve."""

Measured = tuple[int, "Spread"]
"""Nodes, and the capacity that was measured with them."""


@picture(key="scaling", title="Throughput against nodes", missing=NOT_VARIED, order=80, needs=("sweep",))
def scaling(summary: Summary, _run: Run) -> Drawn | Missing | None:
    """Draw capacity of each lane against its nodes, the law, and what nodes would do that never wait for others."""
    sweep = summary.sweep
    if sweep is None or sweep.scaling is None:
        return None
    measured = _measured(sweep)
    if not measured:
        return CUT_SHORT
    laws = {each.lane: each.law for each in sweep.scaling}
    cores = summary.machine.cores_available if summary.machine else None
    most = max(nodes for points in measured.values() for nodes, _ in points)
    rule = cores if cores and 1 < cores <= most else None
    return Drawn(
        shows=" ".join(scaling_sentence(lane, law) for lane, law in laws.items()),
        reads=_reads(laws.values(), cores, rule),
        figure=_figure(measured, laws, rule),
        table=_table(measured, laws),
    )


def _reads(laws: Iterable[Law | None], cores: int | None, rule: int | None) -> str:
    bound = f"{f'{cores} ' if cores else ''}cores of this machine, which bounds what CPU-bound jobs can gain"
    upright = f"; the upright line is at the {rule} cores, beyond which nodes have no core each" if rule else ""
    peaks = (
        "; a bar across a curve is its peak, with the 95 % interval" if any(law and law.peak for law in laws) else ""
    )
    return (
        "A mark is the median of a lane's trials, its line the range, the curve the Universal Scalability Law, and the "
        f"thin dotted line what so many nodes would do if none waited for another{peaks}{upright}; all nodes shared "
        f"the {bound}."
    )


def _measured(sweep: SweepSummary) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {}
    for point in sweep.points:
        for lane in point.lanes:
            if lane.capacity_per_s:
                found.setdefault(lane.lane, []).append((int(point.value), lane.capacity_per_s))
    return {lane: sorted(points, key=lambda point: point[0]) for lane, points in found.items()}


def _ideal_per_node(points: Sequence[Measured]) -> float:
    """Return the throughput of each node if none waited for another: its part of what the fewest did."""
    fewest, capacity = points[0]
    return capacity.median / fewest


def _figure(measured: Mapping[str, Sequence[Measured]], laws: Mapping[str, Law | None], rule: int | None) -> go.Figure:
    figure = go.Figure()
    for lane, points in measured.items():
        own, law = style_of(list(measured), lane), laws.get(lane)
        found = [capacity for _, capacity in points]
        medians = [each.median for each in found]
        figure.add_scatter(
            x=[nodes for nodes, _ in points],
            y=medians,
            mode="markers",
            name=escaped(lane),
            legendgroup=lane,
            marker={"color": own.colour, "symbol": f"{own.symbol}-open", "size": 12, "line": {"width": 2.5}},
            error_y=error_bars(medians, [each.min for each in found], [each.max for each in found], own.colour),
            hovertemplate="%{y:.3g} jobs/s<extra>%{fullData.name}</extra>",
        )
        if law is not None:
            _add_law(figure, lane, law, own)
            if law.peak is not None:
                _add_peak(figure, lane, law, law.peak, own)
        most = points[-1][0]
        figure.add_scatter(
            x=[0, most],
            y=[0, _ideal_per_node(points) * most],
            mode="lines",
            name=f"{escaped(lane)}: ideal",
            legendgroup=lane,
            showlegend=False,
            line={"color": own.colour, "width": 1, "dash": "dot"},
            hoverinfo="skip",
        )
    counts = sorted({nodes for points in measured.values() for nodes, _ in points})
    figure.update_xaxes(rangemode="tozero", tickvals=counts)
    figure.update_yaxes(rangemode="tozero")
    if rule:
        figure.add_vline(x=rule, line={"color": INK, "width": 1, "dash": "dot"})
    return layout(figure, x="nodes", y="jobs/s")


def _add_law(figure: go.Figure, lane: str, law: Law, own: LaneStyle) -> None:
    counts = np.linspace(1, law.largest, CURVE)
    figure.add_scatter(
        x=counts,
        y=[law.per_s(count) for count in counts],
        mode="lines",
        name=f"{escaped(lane)}: law",
        legendgroup=lane,
        line={"color": own.colour, "dash": own.dash},
        hovertemplate="%{y:.3g} jobs/s<extra>%{fullData.name}</extra>",
    )


def _add_peak(figure: go.Figure, lane: str, law: Law, peak: Estimate, own: LaneStyle) -> None:
    """Mark the peak on the curve, with its interval; where that has no upper end, up to the most measured."""
    high = law.largest if peak.high is None else peak.high
    figure.add_scatter(
        x=[peak.value],
        y=[law.per_s(peak.value)],
        mode="markers",
        name=f"{escaped(lane)}: peak",
        legendgroup=lane,
        showlegend=False,
        marker={"color": own.colour, "symbol": "line-ns-open", "size": 14},
        error_x={
            "array": [high - peak.value],
            "arrayminus": [peak.value - (peak.low or peak.value)],
            "color": own.colour,
            "thickness": 1.5,
        },
        hovertemplate="%{x:.1f} nodes<extra>%{fullData.name}</extra>",
    )


def _table(measured: Mapping[str, Sequence[Measured]], laws: Mapping[str, Law | None]) -> Table:
    rows = []
    for lane, points in measured.items():
        law, ideal = laws.get(lane), _ideal_per_node(points)
        for nodes, capacity in points:
            figures = map(number, (capacity.median, capacity.min, capacity.max))
            by_law = number(law.per_s(nodes) if law else None)
            of_ideal = percent(capacity.median / (ideal * nodes))
            rows.append([lane, str(nodes), *figures, str(capacity.n), by_law, of_ideal])
    return Table(
        title="Jobs per second by number of nodes",
        columns=["lane", "nodes", "median", "lowest", "highest", "trials", "by the law", "of the ideal"],
        rows=rows,
        note="The ideal is so many times what a node of the fewest did.",
    )
