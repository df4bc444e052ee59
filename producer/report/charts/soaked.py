"""What the pictures of a soak share: a line for each process, against the time that its lane worked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
import polars as pl

from producer.analysis.growth import SETTLING, Work, followed
from producer.report.charts.labels import escaped
from producer.report.charts.layout import layout
from producer.report.charts.theme import INK, style_of
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from producer.analysis.growth import Followed
    from producer.analysis.soak import LaneSoak
    from producer.analysis.summary import Summary
    from producer.rundir.run import Run

    Values = NDArray[np.float64]

Line = tuple["LaneSoak", "Work", "Followed"]


def lines_of(summary: Summary, run: Run, what: str) -> list[Line]:
    """Return each process that was there all the time, with its lane, and whose `what` was seen."""
    assert summary.soak
    return [line for lane in summary.soak.lanes for line in _of_lane(lane, run) if what in line[2].values]


def _of_lane(lane: LaneSoak, run: Run) -> list[Line]:
    work = Work([trial for trial in run.trials if trial.lane == lane.lane and trial.kind is not Kind.WARM_UP])
    processes = followed(run.processes.filter(pl.col("lane") == lane.lane), work)
    return [(lane, work, each) for each in processes]


def figure_of(lines: Sequence[Line], what: str, shown: Callable[[Values], Values], *, unit: str, y: str) -> go.Figure:
    """
    Draw the lines.

    Args:
        lines: The processes.
        what: Which of their values.
        shown: Makes the values those that are drawn.
        unit: Stands after a value, with its format before: `+.2f} MiB`.
        y: The title of the axis.
    """
    figure = go.Figure()
    lanes = list(dict.fromkeys(lane.lane for lane, _, _ in lines))
    named: set[tuple[str, bool]] = set()
    for lane, work, process in lines:
        own = style_of(lanes, lane.lane)
        which = f"{lane.lane}, {'main process' if process.root else 'a child'}"
        figure.add_scatter(
            x=work.until_s(process.at) / 60,
            y=shown(process.values[what]),
            mode="lines",
            name=escaped(which),
            legendgroup=which,
            showlegend=(lane.lane, process.root) not in named,
            line={"color": own.colour, "dash": "solid" if process.root else "dot", "width": 2},
            hovertemplate="%{x:.1f} min: %{y:" + unit + "<extra>%{fullData.name}</extra>",
        )
        named.add((lane.lane, process.root))
    for _, work, _ in lines[:1]:
        figure.add_vline(x=SETTLING * work.total_s / 60, line={"color": INK, "dash": "dot", "width": 1})
    return layout(figure, x="minutes of work", y=y)
