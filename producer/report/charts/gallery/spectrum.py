"""The latency spectrum: every percentile of wait, service and sojourn, on a scale with room for the rare ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from producer.analysis.latency import after_lead_in, first_successes
from producer.analysis.percentiles import percentiles
from producer.plan.stages import STAGES
from producer.report.charts.labels import escaped
from producer.report.charts.layout import layout, logarithmic, stacked
from producer.report.charts.picture import Drawn, picture
from producer.report.charts.swept import lane_of
from producer.report.charts.theme import style_of
from producer.report.formats import milliseconds
from producer.report.parts import Table
from producer.report.tables import INTERVALS, PERCENTILES, percentile_cell
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import plotly.graph_objects as go
    import polars as pl
    from numpy.typing import NDArray

    from producer.analysis.summary import Summary
    from producer.plan.stages import Stage
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

LINES = {
    "sojourn": ("solid", 2.5),
    "sojourn_from_sent": ("dash", 1.5),
    "queue_wait": ("dot", 1.5),
    "service": ("dashdot", 1.5),
}
"""Dash and width by stage: from due is corrected for what the generator was late, from sent is not."""

MARKS = 6
"""On a line at most, to distinguish the lanes."""

POINTS = 400
"""Of a line at most; ranks are taken closer together the rarer they are."""

ROW = 340


@picture(
    key="spectrum",
    title="Latency spectrum at the held rate",
    missing="No job was done at a held rate: a race, a load and a search for the limit hold one on each lane.",
    order=30,
    trials=(Kind.LATENCY, Kind.LOAD, Kind.PROBE),
    compares=True,
)
def spectrum(summary: Summary, run: Run) -> Drawn | None:
    """Draw the percentiles of each stage of a job, a part a workload, a colour a lane."""
    lines = list(_lines(summary, run))
    if not lines:
        return None
    return Drawn(
        shows=_shows(lines),
        reads=(
            "To the right are the rare, slow jobs: 99 % means that one in a hundred took longer. Where the solid "
            "line, from due, lies above the dashed one, from sent, the generator was late, and a tool that forgets "
            "that would show only the dashed one."
        ),
        figure=_figure(lines),
        table=_table(summary),
    )


def nines(ranks: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Place the rank-th smallest of n on the scale: 1 for 90 %, 2 for 99 %; the largest at 1 - 1/(2n)."""
    beyond: NDArray[np.float64] = -np.log10(np.maximum(1 - ranks / n, 0.5 / n))
    return beyond


def thinned(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sort values and place them on the scale of nines; return no more than can be distinguished."""
    ordered = np.sort(values)
    n = len(ordered)
    if n > POINTS:
        from_top = np.unique(np.geomspace(1, n, POINTS).astype(int))
        ranks = (n + 1 - from_top)[::-1]
    else:
        ranks = np.arange(1, n + 1)
    return nines(ranks.astype(np.float64), n), ordered[ranks - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """
    One stage of a workload's jobs on a lane.

    Attributes:
        workload: Name of what the jobs do.
        lane: Its key; in a sweep that of the lane that is varied.
        stage: The stage.
        values_s: How long it took of each job.
    """

    workload: str
    lane: str
    stage: Stage
    values_s: NDArray[np.float64]

    @property
    def name(self) -> str:
        """The words in the legend."""
        return f"{self.lane}: {self.stage.title}"


def _lines(summary: Summary, run: Run) -> Iterator[_Line]:
    jobs = after_lead_in(first_successes(run.records, run.children), run.trials)
    for workload in summary.workloads:
        for lane in workload.lanes:
            frame = _jobs_of(run, _trials_of(summary, run, lane.lane), jobs, workload.workload)
            for stage in map(STAGES.__getitem__, LINES):
                took_s = stage.durations_s(frame)
                known_s = took_s[~np.isnan(took_s)]
                if len(known_s):
                    yield _Line(
                        workload=workload.workload,
                        lane=lane_of(summary, lane.lane),
                        stage=stage,
                        values_s=np.maximum(known_s, 1e-6),
                    )


def _trials_of(summary: Summary, run: Run, lane: str) -> list[Trial]:
    """Return the trials of a lane at its held rate: of a search, the one at the highest rate that passed."""
    trials = [trial for trial in spectrum.trials_of(run) if trial.lane == lane]
    if summary.limit is None:
        return trials
    probes = {probe.trial: probe for each in summary.limit.lanes for probe in each.probes}
    held = [trial for trial in trials if probes[trial.trial].passed]
    return [max(held, key=lambda trial: probes[trial.trial].rate_per_s)] if held else []


def _jobs_of(run: Run, trials: Sequence[Trial], jobs: pl.DataFrame, workload: str) -> pl.DataFrame:
    """Return the jobs of a workload in some trials, of a mix those of its part."""
    whole = {trial.trial for trial in trials if trial.workload == workload}
    if whole:
        return jobs.filter(jobs["trial"].is_in(list(whole)))
    parts = {trial.trial: trial.parts.index(workload) for trial in trials if workload in trial.parts}
    mixed = jobs.filter(jobs["trial"].is_in(list(parts)))
    mixed = mixed.join(run.sent.select("trial", "seq", "part"), on=["trial", "seq"])
    wanted = [parts[trial] == part for trial, part in mixed.select("trial", "part").iter_rows()]
    return mixed.filter(np.array(wanted, dtype=bool))


def _figure(lines: Sequence[_Line]) -> go.Figure:
    workloads = list(dict.fromkeys(line.workload for line in lines))
    lanes = list(dict.fromkeys(line.lane for line in lines))
    figure = stacked(workloads, 0.3 / len(workloads))
    in_legend = {line.name: line for line in reversed(lines)}
    for line in lines:
        row = workloads.index(line.workload) + 1
        own, (dash, width) = style_of(lanes, line.lane), LINES[line.stage.name]
        places, values = thinned(line.values_s)
        figure.add_scatter(
            x=places,
            y=values * 1000,
            mode="lines+markers",
            line={"color": own.colour, "dash": dash, "width": width, "shape": "hv"},
            # The dash is the stage, so the mark has to be the lane where there is no colour.
            marker={"color": own.colour, "symbol": own.symbol, "size": 3 + 2 * width, "maxdisplayed": MARKS},
            name=escaped(line.name),
            legendgroup=line.name,
            showlegend=in_legend[line.name] is line,
            row=row,
            col=1,
            hovertemplate="%{y:.3g} ms<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(
        tickvals=[0, 0.30103, 1, 2, 3, 4, 5], ticktext=["0", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]
    )
    figure.update_yaxes(**logarithmic(), title_text="ms")
    return layout(figure, x="", y="ms", height=ROW * len(workloads) + 120)


def _shows(lines: Sequence[_Line]) -> str:
    whole = [line for line in lines if line.stage.name == "sojourn"]
    slow, fast = max(whole, key=_median), min(whole, key=_median)
    return (
        f"Half of the {fast.workload} jobs on {fast.lane} were done within {milliseconds(_median(fast))} ms "
        f"of being due, and half of the {slow.workload} jobs on {slow.lane} within "
        f"{milliseconds(_median(slow))} ms; the slowest of all took "
        f"{milliseconds(max(float(line.values_s.max()) for line in whole))} ms."
    )


def _median(line: _Line) -> float:
    found = percentiles(line.values_s)
    return found.p50 if found else 0.0


def _table(summary: Summary) -> Table:
    rows = [
        [
            workload.workload,
            lane_of(summary, lane.lane),
            STAGES[stage].title,
            *(percentile_cell(found, name) for name in PERCENTILES),
            milliseconds(found.max if found else None),
        ]
        for workload in summary.workloads
        for lane in workload.lanes
        if lane.latency
        for stage in LINES
        for found in [lane.latency.stage(stage)]
    ]
    return Table(
        title="Percentiles in ms",
        columns=["workload", "lane", "stage", *PERCENTILES, "max"],
        rows=rows,
        note=INTERVALS,
    )
