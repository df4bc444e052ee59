"""Draws the jobs of a lane: a bar each, filled as high as its CPU share, or shades where they are too many."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from producer.report.charts.labels import escaped
from producer.report.charts.theme import GRID, INK, LOOKS, style_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST = 5_000
"""Jobs of a lane that are drawn one by one; with more, a page would be slow to come up and to pan."""

COLUMNS = 4_000
"""Stretches of a trial of many jobs; each has a shade for what its jobs held of a core."""

BAR, LOWER = 0.8, 0.8
"""A bar's height where rows are 1 apart, and by how much lower the bars of each further workload are."""


def add_bars(figure: go.Figure, jobs: pl.DataFrame, workloads: Sequence[str], place: int, *, named: bool) -> None:
    """
    Add a trace for the waits, and for each workload one of whole bars, one of filled parts and one to point at.

    Args:
        figure: With a chart for each lane, one above the other.
        jobs: Of the lane: `row`, `workload`, `fetched_s`, `started_s`, `finished_s` and `cpu_s`.
        workloads: Of all lanes, in the order of their looks.
        place: Of the lane's chart, from 1.
        named: Whether the legend takes its names from here.
    """
    figure.add_scattergl(
        **_waits(jobs),
        mode="lines",
        name="waits in the node",
        legendgroup="waits",
        showlegend=named,
        line={"color": INK, "width": 2},
        opacity=0.5,
        hoverinfo="skip",
        row=place,
        col=1,
    )
    for name in workloads:
        mine, own = jobs.filter(pl.col("workload") == name), style_of(workloads, name)
        tall = _tall(workloads, name)
        shared = {"mode": "lines", "fill": "toself", "hoverinfo": "skip", "row": place, "col": 1}
        shared["legendgroup"] = escaped(name)
        figure.add_scattergl(
            **_boxes(mine, tall, np.ones(mine.height)),
            name=f"{escaped(name)}: runs",
            showlegend=named,
            line={"color": own.colour, "width": 1},
            fillcolor=_see_through(own.colour),
            opacity=0.75,
            **shared,
        )
        figure.add_scattergl(
            **_boxes(mine, tall, _share(mine)),
            name=f"{escaped(name)}: on a core",
            showlegend=named,
            line={"color": own.colour, "width": 0.5},
            fillcolor=own.colour,
            **shared,
        )
        figure.add_scattergl(**_points(mine), name=escaped(name), showlegend=False, row=place, col=1)


def _tall(workloads: Sequence[str], name: str) -> float:
    return BAR * LOWER ** (workloads.index(name) % len(LOOKS))


def add_shades(figure: go.Figure, lane: str, jobs: pl.DataFrame, place: int) -> None:
    """Add a shade for each stretch of each row, the darker the more of it was on a core; jobs and place as for bars."""
    edges: Floats = np.linspace(0.0, float(jobs["finished_s"].to_numpy().max()), COLUMNS + 1)
    parts = jobs.sort("row", "started_s").partition_by("row", maintain_order=True)
    grid = [
        shades(part["started_s"].to_numpy(), part["finished_s"].to_numpy(), part["cpu_s"].to_numpy(), edges)
        for part in parts
    ]
    figure.add_heatmap(
        x=edges[:-1] + edges[1] / 2,
        y=[part["row"][0] for part in parts],
        z=np.array(grid, dtype=np.float32),
        zmin=0,
        zmax=1,
        showscale=False,
        colorscale=[[0, _see_through(LOOKS[0].colour)], [1, LOOKS[0].colour]],
        name=escaped(lane),
        ygap=4,
        hovertemplate="%{x:.3f} s: %{z:.0%} on a core<extra>%{fullData.name}</extra>",
        row=place,
        col=1,
    )


def close_up(jobs: pl.DataFrame, workloads: Sequence[str], place: int) -> dict[str, Any]:
    """
    Pack the jobs of a shaded lane for the page's script, which draws them one by one: numbers as text.

    Args:
        jobs: As for bars; at most 256 rows, which is more than are drawn. Numbers are packed little-endian.
        workloads: Of all lanes.
        place: Of the lane's chart, from 1.
    """
    ordered = jobs.sort("started_s")
    axis = "axis" if place == 1 else f"axis{place}"
    times = {name: ordered[f"{name}_s"].to_numpy().astype("<f4") for name in ("fetched", "started", "finished")}
    marks = {
        "row": ordered["row"].to_numpy(),
        "share": np.rint(_share(ordered) * 255),
        "workload": np.array([workloads.index(name) for name in ordered["workload"]]),
    }
    packed = {**times, **{name: values.astype("u1") for name, values in marks.items()}}
    return {"xaxis": f"x{axis}", "yaxis": f"y{axis}"} | {
        name: b64encode(values.tobytes()).decode() for name, values in packed.items()
    }


def close_up_look(workloads: Sequence[str]) -> dict[str, Any]:
    """Return how the page's script draws the jobs of each workload: as bars are."""
    return {
        "most": MOST,
        "colours": [style_of(workloads, name).colour for name in workloads],
        "tall": [_tall(workloads, name) for name in workloads],
    }


def add_key(figure: go.Figure, workloads: Sequence[str]) -> None:
    """Name the workloads in the legend, for jobs that plotly does not draw."""
    for name in workloads:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=f"{escaped(name)}: runs",
            hoverinfo="skip",
            marker={"symbol": "square", "size": 12, "color": style_of(workloads, name).colour},
            row=1,
            col=1,
        )


def shades(starts: Floats, ends: Floats, cpu_s: Floats, edges: Floats) -> Floats:
    """
    Return the part of each stretch of time in which jobs held the CPU, from 0 to 1, if each held it evenly.

    Args:
        starts: Of the jobs, in seconds.
        ends: Of the jobs.
        cpu_s: CPU time of each.
        edges: Of the stretches, ascending; one more than there are stretches.
    """
    rates = cpu_s / np.maximum(ends - starts, 1e-9)
    held_s = np.diff(_since(starts, rates, edges) - _since(ends, rates, edges))
    share: Floats = np.clip(held_s / np.diff(edges), 0, 1)
    return share


def _since(moments: Floats, rates: Floats, at: Floats) -> Floats:
    """Add up rates by some instants, each from its own moment on."""
    order = np.argsort(moments)
    before = np.searchsorted(moments[order], at, side="right")
    rate = np.concatenate([[0.0], np.cumsum(rates[order])])[before]
    offset = np.concatenate([[0.0], np.cumsum(rates[order] * moments[order])])[before]
    grown: Floats = rate * at - offset
    return grown


def _see_through(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.2)"


def _share(jobs: pl.DataFrame) -> Floats:
    """Return CPU time over service time, from 0 to 1: the two clocks tick apart, so a full bar may be a little over."""
    service_s = (jobs["finished_s"] - jobs["started_s"]).to_numpy()
    cpu_s = jobs["cpu_s"].to_numpy()
    share: Floats = np.divide(cpu_s, service_s, out=np.zeros_like(cpu_s), where=service_s > 0)
    return share.clip(0.0, 1.0)


def _boxes(jobs: pl.DataFrame, tall: float, share: Floats) -> dict[str, NDArray[np.float32]]:
    """Draw a box a job, as one line with gaps: one shape each would be too many. Rows count downwards."""
    begin, end = jobs["started_s"].to_numpy(), jobs["finished_s"].to_numpy()
    low = jobs["row"].to_numpy() + tall / 2
    high = low - tall * share
    return {"x": _line(begin, end, end, begin, begin), "y": _line(low, low, high, high, low)}


def _waits(jobs: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
    """Draw a thin line below the row on which the job ran, from when its node had it to when it was started."""
    level = jobs["row"].to_numpy() + 0.47
    return {"x": _line(jobs["fetched_s"].to_numpy(), jobs["started_s"].to_numpy()), "y": _line(level, level)}


def _line(*corners: Floats) -> NDArray[np.float32]:
    """Return one coordinate of a line from corner to corner, with a gap after each job. Half as long as in 64 bits."""
    gap = np.full(len(corners[0]), np.nan)
    return np.stack([*corners, gap], axis=1).ravel().astype(np.float32)


def _points(jobs: pl.DataFrame) -> dict[str, Any]:
    """Return marks that are not seen, and explain a bar that is pointed at."""
    service_s, wait_s = jobs["finished_s"] - jobs["started_s"], jobs["started_s"] - jobs["fetched_s"]
    hints = [(service_s * 1000).to_numpy(), _share(jobs) * 100, (wait_s * 1000).to_numpy()]
    return {
        "x": ((jobs["started_s"] + jobs["finished_s"]) / 2).to_numpy(),
        "y": jobs["row"].cast(pl.Float64).to_numpy(),
        "mode": "markers",
        "marker": {"opacity": 0, "size": 12, "color": GRID},
        "customdata": np.stack(hints, axis=1).astype(np.float32),
        "hovertemplate": (
            "ran %{customdata[0]:.1f} ms, %{customdata[1]:.0f} % of it on a core<br>"
            "waited in the node %{customdata[2]:.1f} ms"
        ),
    }
