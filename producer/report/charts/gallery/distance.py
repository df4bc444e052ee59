"""Distance: throughput and latency of each lane against the round trip to its broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.report.charts.labels import escaped
from producer.report.charts.layout import error_bars, layout, logarithmic, stacked
from producer.report.charts.picture import Drawn, Missing, picture
from producer.report.charts.theme import style_of
from producer.report.formats import milliseconds, number, percent
from producer.report.parts import Table
from producer.report.tables import percentile_cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from producer.analysis.percentiles import Spread
    from producer.analysis.summary import Summary
    from producer.analysis.sweep import LaneAtDistance, SweepLane, SweepSummary
    from producer.rundir.run import Run

COMMAND = "poolrace sweep --over rtt=0,0.5ms,2.5ms,10ms --workload noop."
NOT_VARIED = f"The distance was not varied, so there is nothing to draw against it. A sweep over it has it: {COMMAND}"
CUT_SHORT = Missing(f"No lane was measured at two distances. Sweep again: {COMMAND}")
HEIGHT = 760

Row = tuple[float, "Spread", "SweepLane"]
"""Seconds of a PING, the capacity at that distance, and the lane there."""


@picture(key="distance", title="Against the distance to the broker", missing=NOT_VARIED, order=85, needs=("sweep",))
def distance(summary: Summary, _run: Run) -> Drawn | Missing | None:
    """Draw capacity and the median sojourn of each lane against how long a PING of its broker takes."""
    sweep = summary.sweep
    if sweep is None or sweep.distance is None:
        return None
    if not sweep.distance:
        return CUT_SHORT
    rows = _rows(sweep)
    return Drawn(
        shows=" ".join(map(_kept, sweep.distance)),
        reads=(
            "A lane that waits for the broker with each job falls with the distance, twice as far by half; one whose "
            "messages travel together stays level. A mark is the median of a lane's trials, its line the range; both "
            "axes are powers, and the distance is the measured PING, not what was asked for."
        ),
        figure=_figure(rows),
        table=_table(rows),
    )


def _kept(found: LaneAtDistance) -> str:
    """Return what a lane keeps of its capacity where it is farthest from the broker."""
    return (
        f"{found.lane}: at a PING of {milliseconds(found.far_ping_s)} ms it does {number(found.far_per_s)}/s, "
        f"{percent(found.kept)} of the {number(found.near_per_s)}/s at {milliseconds(found.near_ping_s)} ms; "
        f"{number(found.jobs_a_round_trip)} jobs a round trip."
    )


def _rows(sweep: SweepSummary) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for point in sweep.points:
        for lane in point.lanes:
            if lane.ping_s is not None and lane.capacity_per_s:
                found.setdefault(lane.lane, []).append((lane.ping_s, lane.capacity_per_s, lane))
    return {lane: sorted(rows, key=lambda row: row[0]) for lane, rows in found.items()}


def _figure(rows: Mapping[str, Sequence[Row]]) -> go.Figure:
    figure = stacked(["Capacity", "Median sojourn at the held rate"], 0.16)
    for lane, measured in rows.items():
        own = style_of(list(rows), lane)
        marks = {
            "mode": "lines+markers",
            "name": escaped(lane),
            "legendgroup": lane,
            "line": {"color": own.colour, "dash": own.dash},
            "marker": {"color": own.colour, "symbol": own.symbol, "size": 10},
            "col": 1,
        }
        spreads = [capacity for _, capacity, _ in measured]
        medians = [each.median for each in spreads]
        figure.add_scatter(
            x=[ping_s * 1000 for ping_s, _, _ in measured],
            y=medians,
            error_y=error_bars(medians, [each.min for each in spreads], [each.max for each in spreads], own.colour),
            hovertemplate="PING %{x:.3g} ms: %{y:.3g} jobs/s<extra>%{fullData.name}</extra>",
            row=1,
            **marks,
        )
        timed = [(ping_s, row.sojourn.p50) for ping_s, _, row in measured if row.sojourn]
        figure.add_scatter(
            x=[ping_s * 1000 for ping_s, _ in timed],
            y=[p50_s * 1000 for _, p50_s in timed],
            hovertemplate="PING %{x:.3g} ms: %{y:.3g} ms<extra>%{fullData.name}</extra>",
            showlegend=False,
            row=2,
            **marks,
        )
    layout(figure, x="", y="jobs/s", height=HEIGHT)
    figure.update_xaxes(**logarithmic(), title_text="PING of the broker, ms")
    figure.update_yaxes(**logarithmic())
    return figure.update_yaxes(title_text="ms", row=2, col=1)


def _table(rows: Mapping[str, Sequence[Row]]) -> Table:
    return Table(
        title="Capacity and sojourn by distance",
        columns=["lane", "PING ms", "jobs/s", "lowest", "highest", "of nearest", "a round trip", "p50 ms", "p99 ms"],
        rows=[
            [
                lane,
                milliseconds(ping_s),
                *map(number, (capacity.median, capacity.min, capacity.max)),
                percent(capacity.median / measured[0][1].median),
                number(capacity.median * ping_s),
                percentile_cell(row.sojourn, "p50"),
                percentile_cell(row.sojourn, "p99"),
            ]
            for lane, measured in rows.items()
            for ping_s, capacity, row in measured
        ],
        note="Jobs a round trip are jobs/s times the PING. The held rate at a distance is the same for all lanes.",
    )
