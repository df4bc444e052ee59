"""Growth: what each process of a soak gained over the time that it worked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
import polars as pl

from producer.analysis.growth import SETTLING, Work, followed
from producer.report.charts.labels import escaped
from producer.report.charts.layout import layout
from producer.report.charts.picture import Drawn, picture
from producer.report.charts.theme import INK, style_of
from producer.report.soak import growths
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.growth import Followed
    from producer.analysis.soak import LaneSoak
    from producer.analysis.summary import Summary
    from producer.rundir.run import Run

MIB = 2**20
MISSING = (
    "Growth is told of a soak, which holds a load for long: poolrace soak, or poolrace soak --app shop.celery:app."
)
READS = (
    "Each line is a process that was there all the time, and its memory is what it has to itself. One that levels off "
    "has filled its caches; one that goes on rising leaks. Left of the dotted line nothing counts."
)

Line = tuple["LaneSoak", "Work", "Followed"]


@picture(key="growth", title="Memory that each process gained", missing=MISSING, order=62, needs=("soak",))
def growth(summary: Summary, run: Run) -> Drawn | None:
    """Draw the memory of each process against the time that its lane worked."""
    assert summary.soak
    lines = [line for lane in summary.soak.lanes for line in _lines(lane, run)]
    if not lines:
        return None
    return Drawn(
        shows=" ".join(_shown(lane) for lane in summary.soak.lanes),
        reads=READS,
        figure=_figure(lines),
        table=growths(summary.soak),
    )


def _lines(lane: LaneSoak, run: Run) -> list[Line]:
    work = Work([trial for trial in run.trials if trial.lane == lane.lane and trial.kind is not Kind.WARM_UP])
    processes = followed(run.processes.filter(pl.col("lane") == lane.lane), work)
    return [(lane, work, each) for each in processes if "memory" in each.values]


def _shown(lane: LaneSoak) -> str:
    return f"{lane.lane}: {lane.growing.value} in {lane.worked_s / 60:.1f} minutes of work."


def _figure(lines: Sequence[Line]) -> go.Figure:
    figure = go.Figure()
    lanes = list(dict.fromkeys(lane.lane for lane, _, _ in lines))
    named: set[tuple[str, bool]] = set()
    for lane, work, process in lines:
        own, values = style_of(lanes, lane.lane), process.values["memory"] / MIB
        which = f"{lane.lane}, {'main process' if process.root else 'a child'}"
        figure.add_scatter(
            x=work.until_s(process.at) / 60,
            y=values - values[0],
            mode="lines",
            name=escaped(which),
            legendgroup=which,
            showlegend=(lane.lane, process.root) not in named,
            line={"color": own.colour, "dash": "solid" if process.root else "dot", "width": 2},
            hovertemplate="%{x:.1f} min: %{y:+.2f} MiB<extra>%{fullData.name}</extra>",
        )
        named.add((lane.lane, process.root))
    for _, work, _ in lines[:1]:
        figure.add_vline(x=SETTLING * work.total_s / 60, line={"color": INK, "dash": "dot", "width": 1})
    return layout(figure, x="minutes of work", y="MiB more than at first")
