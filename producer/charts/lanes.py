"""Lanes: a row a process or thread, a bar a job, filled as far as it held the CPU, so that the GIL can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from plotly.subplots import make_subplots

from producer.charts.picture import Picture
from producer.charts.theme import FONT, INK, LOOKS, layout, text
from producer.report.formats import count
from producer.report.parts import Table
from producer.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from producer.rundir import Run
    from producer.trials import Trial

KEY, TITLE = "lanes", "Lanes: what each slot did"
MOST = 5_000
"""Jobs of a lane that are drawn one by one; with more, a page would be slow to come up and to pan."""

COLUMNS = 4_000
"""In how many stretches a trial of more jobs is cut; each has a shade for what its jobs held of the CPU."""

ROW, FRAME = 26, 120
BAR, FILL, WAIT = 15, 9, 3
"""Widths of a job's outline, of its CPU share and of its wait, in pixels."""


def lanes(summary: Mapping[str, Any], run: Run) -> Picture:
    """One trial of each lane, of the workload that holds the CPU most, job by job."""
    trials = _chosen(summary, run)
    if not trials:
        return Picture(
            key=KEY, title=TITLE,
            missing="No slot ended a job, so there is none to draw: see the problems above, and the nodes' logs.",
        )  # fmt: skip
    drawn = {trial.lane: _jobs(run, trial) for trial in trials}
    rows = {lane: _rows(jobs) for lane, jobs in drawn.items()}
    return Picture(
        key=KEY,
        title=TITLE,
        shows=_shows(trials[0], drawn, rows),
        reads=(
            "Each row is a process or a thread, each pale bar a job from start to end, and its dark part how much "
            "of that time the job held the CPU: four threads that share one interpreter lock are each a quarter full. "
            "The thin line before a bar is the time that the job waited in the node after it was fetched."
        ),
        figure=_figure(drawn, rows),
        table=_table(rows),
    )


def _chosen(summary: Mapping[str, Any], run: Run) -> list[Trial]:
    """The last trial under full load of each lane, of the workload whose jobs hold the CPU most."""
    ended = set(run.records["trial"].unique())
    able = [trial for trial in run.trials if trial.kind is not Kind.WARM_UP and trial.trial in ended]
    full = [trial for trial in able if trial.kind is Kind.CAPACITY] or able
    if not full:
        return []
    workload = max({trial.workload for trial in full}, key=lambda name: (_cpu_share(run, full, name), name))
    last = {trial.lane: trial for trial in full if trial.workload == workload}
    known = [lane["key"] for lane in summary["lanes"]]
    return [last[key] for key in [*known, *(key for key in last if key not in known)] if key in last]


def _cpu_share(run: Run, trials: Sequence[Trial], workload: str) -> float:
    numbers = [trial.trial for trial in trials if trial.workload == workload]
    part = run.records.filter(pl.col("trial").is_in(numbers))
    held_s = float((part["finished_at"] - part["started_at"]).fill_nan(0).sum())
    return float(part["cpu_s"].fill_nan(0).sum()) / held_s if held_s else 0.0


def _jobs(run: Run, trial: Trial) -> pl.DataFrame:
    """Jobs of a trial that a slot ran, in order: offsets in seconds from the trial's zero, row, and CPU time."""
    zero = trial.began_at
    return (
        run.records.filter((pl.col("trial") == trial.trial) & pl.col("started_at").is_not_nan())
        .drop_nulls(["started_at", "finished_at"])
        .sort("started_at")
        .with_columns(row=pl.struct("node", "pid", "thread_id").rank("dense").cast(pl.Int64) - 1)
        .select(
            "row", "node", "pid", "thread_id", pl.col("cpu_s").fill_nan(0.0).fill_null(0.0),
            waits=pl.col("received_at") - zero, starts=pl.col("started_at") - zero, ends=pl.col("finished_at") - zero,
        )
    )  # fmt: skip


def _rows(jobs: pl.DataFrame) -> pl.DataFrame:
    """Of each row its name, jobs, and which part of the trial it was busy and held the CPU."""
    span_s = float(jobs["ends"].max() or 0) - float(jobs["starts"].min() or 0)  # type: ignore[arg-type]
    return (
        jobs.group_by("row", "node", "pid", "thread_id")
        .agg(jobs=pl.len(), held_s=(pl.col("ends") - pl.col("starts")).sum(), cpu_s=pl.col("cpu_s").sum())
        .sort("row")
        .with_columns(busy=pl.col("held_s") / max(span_s, 1e-9), on_cpu=pl.col("cpu_s") / pl.col("held_s"))
    )


def _segments(
    begins: NDArray[np.float64], ends: NDArray[np.float64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lines from begin to end on their rows, one trace for all: a gap after each."""
    gap = np.full(len(begins), np.nan)
    x, y = np.stack([begins, ends, gap], axis=1), np.stack([rows, rows, gap], axis=1)
    return x.ravel().astype(np.float32), y.ravel().astype(np.float32)


def shades(
    starts: NDArray[np.float64], ends: NDArray[np.float64], cpu_s: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """
    Which part of each stretch of time jobs held the CPU, from 0 to 1, if each held it evenly.

    Args:
        starts: Of the jobs, in seconds.
        ends: Of the jobs.
        cpu_s: CPU time of each.
        edges: Of the stretches, ascending; one more than there are stretches.
    """
    rates = cpu_s / np.maximum(ends - starts, 1e-9)
    held_s = np.diff(_since(starts, rates, edges) - _since(ends, rates, edges))
    share: NDArray[np.float64] = np.clip(held_s / np.diff(edges), 0, 1)
    return share


def _since(moments: NDArray[np.float64], rates: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """What has come together by some instants, if each rate counts from its moment on."""
    order = np.argsort(moments)
    before = np.searchsorted(moments[order], at, side="right")
    rate = np.concatenate([[0.0], np.cumsum(rates[order])])[before]
    offset = np.concatenate([[0.0], np.cumsum(rates[order] * moments[order])])[before]
    grown: NDArray[np.float64] = rate * at - offset
    return grown


def _figure(drawn: Mapping[str, pl.DataFrame], rows: Mapping[str, pl.DataFrame]) -> go.Figure:
    heights = [max(frame.height, 2) for frame in rows.values()]
    figure = make_subplots(
        rows=len(drawn), cols=1, shared_xaxes="all", row_heights=heights, subplot_titles=[text(lane) for lane in drawn],
        vertical_spacing=60 / (ROW * sum(heights) + FRAME * len(heights)),
    )  # fmt: skip
    for place, (lane, jobs) in enumerate(drawn.items(), start=1):
        add = _add_bars if jobs.height <= MOST else _add_shades
        add(figure, lane, jobs, place)
        names = [
            str(pid) if pid == thread else f"{pid}/{thread}"
            for pid, thread in rows[lane].select("pid", "thread_id").rows()
        ]
        figure.update_yaxes(tickvals=rows[lane]["row"].to_list(), ticktext=names, row=place, col=1)
    figure.update_xaxes(title_text="seconds since the first job was due", row=len(drawn), col=1)
    layout(figure, x="", y="", height=ROW * sum(heights) + FRAME * len(heights))
    return figure.update_layout(dragmode="pan").update_annotations(font={"family": FONT, "color": INK, "size": 14})


def _add_bars(figure: go.Figure, lane: str, jobs: pl.DataFrame, place: int) -> None:
    """A bar for each job."""
    starts, ends, level = (jobs[name].cast(pl.Float64).to_numpy() for name in ("starts", "ends", "row"))
    waits = np.minimum(jobs["waits"].fill_nan(None).fill_null(pl.Series(starts)).to_numpy(), starts)
    filled = np.minimum(starts + jobs["cpu_s"].to_numpy(), ends)
    colour = LOOKS[(place - 1) % len(LOOKS)].colour
    for name, begin, end, width, opacity in (
        ("fetched, waits", waits, starts, WAIT, 0.35),
        ("runs", starts, ends, BAR, 0.3),
        ("holds the CPU", starts, filled, FILL, 1.0),
    ):
        x, y = _segments(begin, end, level)
        figure.add_scattergl(
            x=x, y=y, mode="lines", name=f"{text(lane)}: {name}", opacity=opacity, hoverinfo="skip",
            line={"color": colour, "width": width}, row=place, col=1,
        )  # fmt: skip


def _add_shades(figure: go.Figure, lane: str, jobs: pl.DataFrame, place: int) -> None:
    """A shade for each stretch of each row."""
    edges = np.linspace(0.0, float(jobs["ends"].max()), COLUMNS + 1)  # type: ignore[arg-type] # there are jobs
    grid = [
        shades(part["starts"].to_numpy(), part["ends"].to_numpy(), part["cpu_s"].to_numpy(), edges)
        for _, part in jobs.sort("row").group_by("row", maintain_order=True)
    ]
    colour = LOOKS[(place - 1) % len(LOOKS)].colour
    figure.add_heatmap(
        x=edges[:-1] + edges[1] / 2, z=np.array(grid, dtype=np.float32), zmin=0, zmax=1, showscale=False,
        colorscale=[[0, "rgba(128,128,128,0.12)"], [1, colour]], name=text(lane), ygap=4,
        hovertemplate="%{x:.3f} s: %{z:.0%} on the CPU<extra>%{fullData.name}</extra>", row=place, col=1,
    )  # fmt: skip


def _shows(trial: Trial, drawn: Mapping[str, pl.DataFrame], rows: Mapping[str, pl.DataFrame]) -> str:
    parts = [
        f"{lane}: {drawn[lane].height:,} jobs on {rows[lane].height} rows, which held the CPU "
        f"{_share_on_cpu(rows[lane])} of the time that they ran"
        for lane in drawn
    ]
    many = [lane for lane, jobs in drawn.items() if jobs.height > MOST]
    cut = (
        f" More than {MOST:,} jobs are drawn as shades ({', '.join(many)}): how much of its time a row was on the CPU."
    )
    return f"Jobs of {trial.workload} in one trial. {'; '.join(parts)}.{cut if many else ''}"


def _share_on_cpu(rows: pl.DataFrame) -> str:
    return _percent(float(rows["cpu_s"].sum()) / max(float(rows["held_s"].sum()), 1e-9))


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _table(rows: Mapping[str, pl.DataFrame]) -> Table:
    cells = [
        [
            lane, row["node"], str(row["pid"]), str(row["thread_id"]), count(row["jobs"]), _percent(row["busy"]),
            _percent(row["on_cpu"]),
        ]
        for lane, frame in rows.items()
        for row in frame.iter_rows(named=True)
    ]  # fmt: skip
    return Table(
        title="What each process or thread did",
        columns=["lane", "node", "process", "thread", "jobs", "busy", "of that on the CPU"],
        rows=cells,
    )
