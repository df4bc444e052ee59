"""Nodes: how jobs were spread over the nodes of each lane, and what further nodes add in a sweep over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from poolrace.contract import Outcome
from producer.charts.picture import Picture
from producer.charts.theme import INK, LOOKS, layout, look, text
from producer.report.formats import NONE, count, number
from producer.report.parts import Table
from producer.report.tables import lane_keys
from producer.settle import KEY as JOB
from producer.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.rundir import Run

KEY, TITLE = "nodes", "Balance between nodes"
AXIS = "nodes"
"""What a sweep over the number of nodes varies."""

MISSING = (
    "{found}, so there is no balance to show. Race several nodes of each pool that run on one broker: "
    "poolrace race --broker URL --expect-nodes 4."
)

OVERLAY = {"fillmode": "overlay", "solidity": 0.1, "size": 12}
"""Words on a bar stay readable if its pattern is thin and the colour below it whole."""

Share = tuple[str, str, int, float]
"""Lane, node, jobs that succeeded, and which part of the lane's they are."""

Scale = tuple[str, int, float]
"""Lane, nodes, and median capacity in jobs per second."""


def nodes(summary: Mapping[str, Any], run: Run) -> Picture:
    """The share of each node in its lane's jobs; of a sweep over nodes, capacity against their number."""
    scales = _scales(summary)
    if scales:
        return _scaling(scales)
    shares = _shares(summary, run)
    most = max((len(mine) for mine in _by_lane(shares).values()), default=0)
    if most < 2:
        found = "One node was measured on each lane" if most else "No node ended a job"
        return Picture(key=KEY, title=TITLE, missing=MISSING.format(found=found))
    return _balance(shares)


def _shares(summary: Mapping[str, Any], run: Run) -> list[Share]:
    warm_ups = [trial.trial for trial in run.trials if trial.kind is Kind.WARM_UP]
    done = (
        run.records.filter(pl.col("outcome") == Outcome.SUCCEEDED.label, ~pl.col("trial").is_in(warm_ups))
        .sort("finished_at")
        .unique(JOB, keep="first")
    )
    found = done.group_by("lane", "node").len().sort("node")
    return [
        (lane, node, jobs, jobs / mine["len"].sum())
        for lane in lane_keys(summary)
        for mine in [_with_idle(found.filter(pl.col("lane") == lane), lane, run)]
        for node, jobs in mine.select("node", "len").iter_rows()
    ]


def _with_idle(found: pl.DataFrame, lane: str, run: Run) -> pl.DataFrame:
    """A node that was there and got no job has a share, too: none."""
    there = [node["node"] for node in run.manifest.get("nodes", []) if node["lane"] == lane]
    idle = sorted(set(there) - set(found["node"])) if found.height else []
    rest = pl.DataFrame({"lane": [lane] * len(idle), "node": idle, "len": [0] * len(idle)}, schema=found.schema)
    return pl.concat([found, rest])


def _by_lane(rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {lane: [row for row in rows if row[0] == lane] for lane in dict.fromkeys(row[0] for row in rows)}


def _balance(shares: Sequence[Share]) -> Picture:
    lanes = _by_lane(shares)
    told = "; ".join(_spread(lane, mine) for lane, mine in lanes.items())
    lane, mine = max(lanes.items(), key=lambda each: _unevenness(each[1]))
    return Picture(
        key=KEY,
        title=TITLE,
        shows=f"The part of a lane's {count(sum(row[2] for row in shares))} jobs that each node did. {told}.",
        reads=(
            f"With an even balance all parts of a bar are equally long: the fullest node of {lane} did "
            f"{_unevenness(mine):.2f} times its even part."
        ),
        figure=_bars(lanes),
        table=Table(
            title="Jobs by node",
            columns=["lane", "node", "jobs", "share", "times an even part"],
            rows=[
                [lane, node, count(jobs), _percent(share), f"{share * len(lanes[lane]):.2f}"]
                for lane, node, jobs, share in shares
            ],
            note="Jobs that succeeded, without the warm-up.",
        ),
    )


def _spread(lane: str, mine: Sequence[Share]) -> str:
    if len(mine) == 1:
        return f"{lane} has one node"
    low, high = (pick(mine, key=lambda row: row[3]) for pick in (min, max))
    least, most = (f"{_percent(row[3])} on {row[1]}" for row in (low, high))
    return f"{lane}: from {least} to {most}, evenly {_percent(1 / len(mine))}"


def _unevenness(mine: Sequence[Share]) -> float:
    return max(row[3] for row in mine) * len(mine)


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _bars(lanes: Mapping[str, Sequence[Share]]) -> go.Figure:
    """A bar a lane, of a part a node."""
    figure = go.Figure()
    for lane, mine in lanes.items():
        for place, (_, node, jobs, share) in enumerate(mine):
            figure.add_bar(
                y=[text(lane)], x=[share * 100], orientation="h", name=text(node), showlegend=False,
                marker={
                    "color": look(list(lanes), lane).colour, "opacity": 0.85,
                    "pattern": {"shape": LOOKS[place % len(LOOKS)].pattern, **OVERLAY},
                    "line": {"color": INK, "width": 1},
                },
                text=text(f"{node}: {_percent(share)}"), textposition="inside", insidetextanchor="middle",
                textfont={"color": "white"}, hovertext=text(f"{node}: {count(jobs)} jobs"), hoverinfo="text",
            )  # fmt: skip
    height = 130 + 70 * len(lanes)
    layout(figure, x="share of the lane's jobs, %", y="", height=height)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[0, 100])
    return figure.update_layout(barmode="stack", margin={"t": 40})


def _scales(summary: Mapping[str, Any]) -> list[Scale]:
    sweep = summary["sweep"]
    if not sweep or sweep["axis"] != AXIS:
        return []
    found = [
        (row["lane"], int(point["value"]), float(row["capacity_per_s"]["median"]))
        for point in sweep["points"]
        for row in point["lanes"]
        if row["capacity_per_s"]
    ]
    return sorted(found, key=lambda row: row[1])


def _scaling(scales: Sequence[Scale]) -> Picture:
    lanes = _by_lane(scales)
    lane, efficiency = min(((lane, _efficiency(mine)) for lane, mine in lanes.items()), key=lambda each: each[1])
    most = max(row[1] for row in lanes[lane])
    return Picture(
        key=KEY,
        title="Throughput against nodes",
        shows="Capacity by the number of nodes. " + "; ".join(map(_growth, lanes, lanes.values())) + ".",
        reads=(
            "The thin line of a lane is what its fewest nodes would give if every further one added as much: with "
            f"{most} nodes {lane} reaches {_percent(efficiency)} of it."
        ),
        figure=_curves(lanes),
        table=Table(
            title="Capacity by nodes, in jobs/s",
            columns=["lane", "nodes", "capacity/s", "of a straight line"],
            rows=[
                [lane, count(n), number(rate), _of_line(lanes[lane][0], (lane, n, rate))] for lane, n, rate in scales
            ],
        ),
    )  # fmt: skip


def _growth(lane: str, mine: Sequence[Scale]) -> str:
    (_, few, first), (_, many, last) = mine[0], mine[-1]
    return f"{lane}: {number(first)}/s with {few} and {number(last)}/s with {many}"


def _efficiency(mine: Sequence[Scale]) -> float:
    (_, few, first), (_, many, last) = mine[0], mine[-1]
    return last / (first * many / few) if first else 0.0


def _of_line(first: Scale, row: Scale) -> str:
    return _percent(_efficiency([first, row])) if first[2] else NONE


def _curves(lanes: Mapping[str, Sequence[Scale]]) -> go.Figure:
    figure = go.Figure()
    for lane, mine in lanes.items():
        own, (_, few, first) = look(list(lanes), lane), mine[0]
        x = [n for _, n, _ in mine]
        figure.add_scatter(
            x=x, y=[first * n / few for n in x], mode="lines", line={"color": INK, "width": 1, "dash": own.dash},
            name=text(f"{lane}, straight"),
        )  # fmt: skip
        figure.add_scatter(
            x=x, y=[rate for _, _, rate in mine], mode="lines+markers", name=text(lane),
            line={"color": own.colour, "dash": own.dash}, marker={"symbol": own.symbol, "size": 9},
        )  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(tickvals=sorted({n for mine in lanes.values() for _, n, _ in mine}))
    return layout(figure, x="nodes", y="capacity, jobs/s")
