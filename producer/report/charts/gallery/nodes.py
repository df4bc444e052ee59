"""Nodes: how jobs were spread over the nodes of each lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from poolrace.contract import Outcome
from producer.report.charts.labels import escaped
from producer.report.charts.layout import layout
from producer.report.charts.picture import Drawn, Missing, picture
from producer.report.charts.swept import lane_of
from producer.report.charts.theme import INK, LOOKS, OVERLAY, style_of
from producer.report.formats import count, percent
from producer.report.parts import Table
from producer.report.plain import lane_keys
from producer.rundir.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.report.plain import PlainSummary as Summary
    from producer.rundir.run import Run

SEVERAL = (
    "so there is no balance to show. Race lanes of several nodes: poolrace race --lane prefork:4:nodes=2 "
    "--lane threads:4:nodes=2; or nodes that run on one broker: poolrace race --broker URL --expect-nodes 4."
)

Share = tuple[str, str, int, float]
"""Lane, node, jobs that succeeded, and which part of the lane's they are."""


@picture(key="nodes", title="Balance between nodes", missing=f"One node was measured on each lane, {SEVERAL}", order=70)
def nodes(summary: Summary, run: Run) -> Drawn | Missing | None:
    """Draw the share of each node in its lane's jobs."""
    shares = _shares(summary, run)
    if not shares:
        return Missing(f"No node ended a job, {SEVERAL}")
    if max(len(mine) for mine in _by_lane(shares).values()) < 2:
        return None
    looks = {lane: lane_of(summary, lane) for lane in lane_keys(summary)}
    return _balance(shares, looks)


def _shares(summary: Summary, run: Run) -> list[Share]:
    trials = [trial.trial for trial in nodes.trials_of(run)]
    done = (
        run.records.filter(pl.col("outcome") == Outcome.SUCCEEDED.label, pl.col("trial").is_in(trials))
        .sort("finished_at")
        .unique(KEY, keep="first")
    )
    found = done.group_by("lane", "node").len().sort("node")
    return [
        (lane, node, jobs, jobs / mine["len"].sum())
        for lane in lane_keys(summary)
        for mine in [_with_idle(found.filter(pl.col("lane") == lane), lane, run)]
        for node, jobs in mine.select("node", "len").iter_rows()
    ]


def _with_idle(found: pl.DataFrame, lane: str, run: Run) -> pl.DataFrame:
    """Add the nodes of a lane that were there and got no job."""
    there = [node.node for node in run.manifest.nodes if node.lane == lane]
    idle = sorted(set(there) - set(found["node"])) if found.height else []
    rest = pl.DataFrame({"lane": [lane] * len(idle), "node": idle, "len": [0] * len(idle)}, schema=found.schema)
    return pl.concat([found, rest])


def _by_lane(rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {lane: [row for row in rows if row[0] == lane] for lane in dict.fromkeys(row[0] for row in rows)}


def _balance(shares: Sequence[Share], looks: Mapping[str, str]) -> Drawn:
    lanes = _by_lane(shares)
    spreads = "; ".join(_spread(lane, mine) for lane, mine in lanes.items())
    lane, mine = max(lanes.items(), key=lambda each: _unevenness(each[1]))
    return Drawn(
        shows=f"The part of a lane's {count(sum(row[2] for row in shares))} jobs that each node did. {spreads}.",
        reads=(
            f"With an even balance all parts of a bar are equally long: the fullest node of {lane} did "
            f"{_unevenness(mine):.2f} times its even part."
        ),
        figure=_bars(lanes, looks),
        table=Table(
            title="Jobs by node",
            columns=["lane", "node", "jobs", "share", "times an even part"],
            rows=[
                [lane, node, count(jobs), percent(share, digits=1), f"{share * len(lanes[lane]):.2f}"]
                for lane, node, jobs, share in shares
            ],
            note="Jobs that succeeded, without the warm-up.",
        ),
    )


def _spread(lane: str, mine: Sequence[Share]) -> str:
    if len(mine) == 1:
        return f"{lane} has one node"
    low, high = (pick(mine, key=lambda row: row[3]) for pick in (min, max))
    least, most = (f"{percent(row[3], digits=1)} on {row[1]}" for row in (low, high))
    return f"{lane}: from {least} to {most}, evenly {percent(1 / len(mine), digits=1)}"


def _unevenness(mine: Sequence[Share]) -> float:
    return max(row[3] for row in mine) * len(mine)


def _bars(lanes: Mapping[str, Sequence[Share]], looks: Mapping[str, str]) -> go.Figure:
    """Draw a bar a lane, of a part a node; lanes that a sweep made of one look alike."""
    figure, kinds = go.Figure(), list(dict.fromkeys(looks.values()))
    for lane, mine in lanes.items():
        for place, (_, node, jobs, share) in enumerate(mine):
            figure.add_bar(
                y=[escaped(lane)],
                x=[share * 100],
                orientation="h",
                name=escaped(node),
                showlegend=False,
                marker={
                    "color": style_of(kinds, looks[lane]).colour,
                    "opacity": 0.85,
                    "pattern": {"shape": LOOKS[place % len(LOOKS)].pattern, **OVERLAY},
                    "line": {"color": INK, "width": 1},
                },
                text=escaped(f"{node}: {percent(share, digits=1)}"),
                textposition="inside",
                insidetextanchor="middle",
                textfont={"color": "white"},
                hovertext=escaped(f"{node}: {count(jobs)} jobs"),
                hoverinfo="text",
            )
    height = 130 + 70 * len(lanes)
    layout(figure, x="share of the lane's jobs, %", y="", height=height)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[0, 100])
    return figure.update_layout(barmode="stack", margin={"t": 40})
