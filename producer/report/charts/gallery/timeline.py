"""
Timeline: what was offered, started and finished, what waited, for how long, and the CPU time of nodes, over time.

Phases of a load are shaded; what happened to a lane meanwhile is a line with words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from plotly.subplots import make_subplots

from producer.analysis.bins import bin_length_s, binned, length_s
from producer.analysis.phases import phase_windows
from producer.report.charts.labels import escaped
from producer.report.charts.last_trials import last_of_each_lane
from producer.report.charts.layout import layout
from producer.report.charts.picture import Drawn, Missing, picture
from producer.report.charts.theme import HEADING, INK, LOOKS
from producer.report.formats import NONE, count, milliseconds, number, seconds
from producer.report.parts import Table
from producer.report.plain import lane_keys
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import plotly.graph_objects as go

    from producer.analysis.bins import Floats, TrialBins
    from producer.analysis.phases import PhaseWindow
    from producer.report.plain import PlainSummary as Summary
    from producer.rundir.events import Event
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

NOTHING_ENDED = (
    "No trial has a job that was sent and finished, so there is nothing to draw over time. Hold a load: "
    "poolrace load --rate 20/s --duration 1m --mix cpu=1,sleep=1."
)
MOST_MARKS, MOST_LETTERS = 12, 44
"""Of a lane, and of the words beside one; more would hide the lines. The table has twice as many, in full."""

MOST_LANES = 4
"""Side by side; more would be too narrow. The table has all."""

RATES, BACKLOG, WAIT, CPU = 1, 2, 3, 4
"""The rows."""

LABELS = {RATES: "jobs/s", BACKLOG: "backlog, jobs", WAIT: "queue wait, ms", CPU: "cores used"}
HEIGHT = 760
SHADE, CLEAR = "rgba(128,128,128,0.12)", "rgba(0,0,0,0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """
    One trial of one lane.

    Attributes:
        bins: The trial in bins.
        phases: Those of a load that were reached.
        events: When, in seconds from the trial's zero, and what happened.
    """

    bins: TrialBins
    phases: Sequence[PhaseWindow]
    events: Sequence[tuple[float, str]]

    @property
    def trial(self) -> Trial:
        """The trial."""
        return self.bins.trial

    @property
    def key(self) -> str:
        """The lane's key."""
        return self.bins.trial.lane


@picture(
    key="timeline",
    title="Over time",
    missing=NOTHING_ENDED,
    order=40,
    # What holds a rate for longest first.
    trials=(Kind.LOAD, Kind.CONFIRMATION, Kind.PROBE, Kind.LATENCY, Kind.CAPACITY),
)
def timeline(summary: Summary, run: Run) -> Drawn | Missing:
    """Draw a trial of each lane over time, side by side, with a load's phases and what happened while it ran."""
    trials = _chosen(summary, run)
    if not trials:
        return Missing(f"{NOTHING_ENDED}{_happened(run)}")
    bin_s = bin_length_s(max(length_s(run, trial) for trial in trials))
    lanes = [_lane(run, summary, trial, bin_s) for trial in trials]
    return Drawn(
        shows=_shows(lanes),
        reads=_reads(lanes),
        figure=_figure(lanes[:MOST_LANES]),
        table=_table(lanes, _elsewhere(run, lanes)),
    )


def _chosen(summary: Summary, run: Run) -> list[Trial]:
    """Choose a trial of each lane, of the workload of the longest, for most can be seen in it."""
    ended = set(run.records.filter(pl.col("finished_at").fill_nan(None).is_not_null())["trial"].to_list())
    able = [trial for trial in run.trials if trial.trial in ended & set(run.sent["trial"].to_list())]
    return last_of_each_lane(able, timeline.trials, _longest, lane_keys(summary))


def _longest(trials: Sequence[Trial]) -> str:
    return max(trials, key=lambda trial: trial.ended_at - trial.began_at).workload


def _lane(run: Run, summary: Summary, trial: Trial, bin_s: float) -> _Lane:
    late = any(lane["key"] == trial.lane and lane["acks"] == "late" for lane in summary["lanes"])
    return _Lane(
        bins=binned(run, trial, bin_s, acks_late=late),
        phases=phase_windows(run, trial),
        events=_events(run, summary, trial),
    )


def _figure(lanes: Sequence[_Lane]) -> go.Figure:
    figure = make_subplots(
        rows=len(LABELS),
        cols=len(lanes),
        shared_xaxes="all",
        shared_yaxes="rows",
        vertical_spacing=0.05,
        horizontal_spacing=0.03,
        row_heights=[3, 2, 2, 2],
        column_titles=[escaped(lane.key) for lane in lanes],
    )
    figure.update_annotations(font=HEADING, yshift=18)
    for place, lane in enumerate(lanes, start=1):
        _add_lines(figure, lane, place)
        _add_phases(figure, lane, place)
        _add_events(figure, lane, place)
    layout(figure, x="", y="", height=HEIGHT).update_layout(hovermode="x", margin={"t": 130})
    for row, label in LABELS.items():
        figure.update_yaxes(title_text=label, row=row, col=1)
    figure.update_yaxes(rangemode="tozero")
    return figure.update_xaxes(title_text="seconds", row=len(LABELS))


def _add_lines(figure: go.Figure, lane: _Lane, place: int) -> None:
    offered, started, finished, p50, p99 = (LOOKS[number] for number in (3, 1, 0, 0, 1))
    lines = (
        ("offered", RATES, lane.bins.offered_per_s, offered.colour, "dot"),
        ("started", RATES, lane.bins.started_per_s, started.colour, "dash"),
        ("finished", RATES, lane.bins.finished_per_s, finished.colour, "solid"),
        ("queue wait p50", WAIT, lane.bins.wait_p50_s * 1000, p50.colour, "solid"),
        ("queue wait p99", WAIT, lane.bins.wait_p99_s * 1000, p99.colour, "dash"),
    )
    for name, row, y, colour, dash in lines:
        figure.add_scatter(
            x=lane.bins.at_s,
            y=y,
            name=name,
            legendgroup=name,
            showlegend=place == 1,
            # A second between two without a wait would be no line.
            mode="lines+markers" if row == WAIT else "lines",
            marker={"size": 3},
            line={"color": colour, "dash": dash, "width": 1.5},
            connectgaps=False,
            row=row,
            col=place,
            hovertemplate=f"{name} %{{y:,.3~g}}<extra></extra>",
        )
    _add_backlog(figure, lane, place)
    _add_cores(figure, lane, place)


def _add_cores(figure: go.Figure, lane: _Lane, place: int) -> None:
    for turn, (node, (at_s, cores)) in enumerate(lane.bins.cores.items()):
        own = LOOKS[(place - 1 + turn) % len(LOOKS)]
        figure.add_scatter(
            x=at_s,
            y=cores,
            name=f"CPU of {escaped(node)}",
            mode="lines+markers",
            row=CPU,
            col=place,
            line={"color": own.colour, "dash": own.dash, "width": 1.5},
            marker={"symbol": own.symbol, "size": 4},
            hovertemplate="%{y:.2f} cores<extra>%{fullData.name}</extra>",
        )


def _add_backlog(figure: go.Figure, lane: _Lane, place: int) -> None:
    """Add two areas, one on the other, that differ by pattern as well."""
    parts = (("unacked", lane.bins.unacked, LOOKS[3], "/"), ("ready", lane.bins.ready, LOOKS[2], "."))
    for name, jobs, own, pattern in parts:
        figure.add_scatter(
            x=lane.bins.at_s,
            y=jobs,
            name=name,
            legendgroup=name,
            showlegend=place == 1,
            mode="lines",
            stackgroup="backlog",
            line={"color": own.colour, "dash": own.dash, "width": 1.5},
            fillpattern={"shape": pattern, "fgcolor": own.colour, "solidity": 0.2},
            row=BACKLOG,
            col=place,
            hovertemplate=f"{name} %{{y:,}}<extra></extra>",
        )


def _add_phases(figure: go.Figure, lane: _Lane, place: int) -> None:
    """Shade every second phase of a load, and name each that was reached."""
    for turn, phase in enumerate(lane.phases):
        colour = SHADE if turn % 2 else CLEAR
        span = {"x0": phase.begin_s, "x1": phase.end_s}
        figure.add_vrect(**span, line_width=0, fillcolor=colour, layer="below", row="all", col=place)
        if name := _phase_name(phase):
            _say(figure, escaped(name), phase.begin_s, place)


def _add_events(figure: go.Figure, lane: _Lane, place: int) -> None:
    for at_s, words in lane.events[:MOST_MARKS]:
        short = words if len(words) <= MOST_LETTERS else f"{words[:MOST_LETTERS]}…"
        figure.add_vline(x=at_s, line={"color": INK, "dash": "dashdot", "width": 1}, row="all", col=place)
        _say(figure, escaped(short), at_s, place)


def _say(figure: go.Figure, words: str, at_s: float, place: int) -> None:
    """Add a word at an instant, upright beside its line, in the topmost chart of a lane."""
    figure.add_annotation(
        x=at_s,
        y=1,
        yref="y domain",
        xanchor="left",
        yanchor="top",
        textangle=90,
        showarrow=False,
        text=words,
        font={"color": INK, "size": 11},
        row=RATES,
        col=place,
    )


def _phase_name(phase: PhaseWindow) -> str:
    """Name a phase; the only one needs no name."""
    if phase.alone:
        return ""
    return phase.name if phase.counts else f"{phase.name} (does not count)"


def _events(run: Run, summary: Summary, trial: Trial) -> list[tuple[float, str]]:
    """Return the events of the trial's lane, or of no lane, while it ran, and when a threshold was first broken."""
    happened = [(event.at - trial.began_at, event.text) for event in run.events if _within(event, trial)]
    return sorted([*happened, *_broken(summary, trial)])


def _within(event: Event, trial: Trial) -> bool:
    # A node reports its children up to a second later, and what ends a trial is seen as it ends.
    return event.lane in ("", trial.lane) and trial.began_at - 1e-3 <= event.at <= trial.ended_at + 1.0


def _broken(summary: Summary, trial: Trial) -> Iterator[tuple[float, str]]:
    held = summary.get("load", ()) if trial.kind is Kind.LOAD else ()
    for judged in (each for lane in held if lane["lane"] == trial.lane for each in lane["thresholds"]):
        if judged["since_s"] is not None and not judged["kept"]:
            yield judged["since_s"], f"broken since here: {judged['threshold']}"


def _elsewhere(run: Run, lanes: Sequence[_Lane]) -> list[str]:
    """Return the events outside of the trials that are drawn, in short."""
    trials = [lane.trial for lane in lanes]
    zero = min(trial.began_at for trial in trials)
    return [
        f"{event.at - zero:+.1f} s {event.lane} {event.text}"
        for event in run.events
        if not any(_within(event, trial) for trial in trials)
    ]


def _shows(lanes: Sequence[_Lane]) -> str:
    trial = lanes[0].trial
    lines = "; ".join(
        f"{lane.key} finished {count(_jobs(lane, lane.bins.finished_per_s))} of "
        f"{count(_jobs(lane, lane.bins.offered_per_s))} jobs, "
        f"with a backlog of {count(int(lane.bins.backlog.max()))} at most and a queue wait p99 of "
        f"{milliseconds(_highest(lane.bins.wait_p99_s))} ms in its worst bin"
        for lane in lanes
    )
    bins = f"in bins of {seconds(lanes[0].bins.bin_s)}"
    cut = f", drawn for the first {MOST_LANES} of {len(lanes)} lanes" if len(lanes) > MOST_LANES else ""
    return f"The last {trial.kind.value} trial of {trial.workload} {bins}{cut}: {lines}."


def _reads(lanes: Sequence[_Lane]) -> str:
    behind = [lane for lane in lanes if _lag_s(lane) > max(1.0, 2 * lane.bins.bin_s)]
    begin = "Where finished runs below offered the backlog grows, and jobs wait as long as it takes to work it off"
    if not behind:
        return f"{begin}; here every lane ended its last job less than {_patience(lanes)} after the last was due."
    needed = ", ".join(f"{lane.key} needed {seconds(_lag_s(lane))}" for lane in behind)
    return f"{begin}: after the last job was due {needed} to end the rest."


def _patience(lanes: Sequence[_Lane]) -> str:
    return seconds(max(max(1.0, 2 * lane.bins.bin_s) for lane in lanes) + lanes[0].bins.bin_s)


def _lag_s(lane: _Lane) -> float:
    """Measure from the bin of the last job due to that of the last end."""
    due, ended = (np.flatnonzero(rate) for rate in (lane.bins.offered_per_s, lane.bins.finished_per_s))
    return float(ended[-1] - due[-1]) * lane.bins.bin_s if len(due) and len(ended) else 0.0


def _jobs(lane: _Lane, rate_per_s: Floats) -> int:
    return round(float(rate_per_s.sum()) * lane.bins.bin_s)


def _highest(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else None


def _table(lanes: Sequence[_Lane], elsewhere: Sequence[str]) -> Table:
    rows = [
        [
            lane.key,
            seconds(lane.bins.bin_s),
            *(number(float(rate.max())) for rate in _rates(lane)),
            *(count(int(jobs.max())) for jobs in (lane.bins.backlog, lane.bins.ready, lane.bins.unacked)),
            milliseconds(_highest(lane.bins.wait_p50_s)),
            milliseconds(_highest(lane.bins.wait_p99_s)),
            _most_cores(lane),
            _marks(lane),
        ]
        for lane in lanes
    ]
    return Table(
        title="The highest of each line",
        columns=[
            "lane",
            "bin",
            "offered/s",
            "started/s",
            "finished/s",
            "backlog",
            "of it ready",
            "of it unacked",
            "wait p50 ms",
            "wait p99 ms",
            "cores",
            "phases and events",
        ],
        rows=rows,
        note="Each in its own bin. Queue waits are of the jobs started in a bin; cores are those of one node. Seconds "
        f"of phases and events are from the trial's zero.{_beside(elsewhere)}",
    )


def _marks(lane: _Lane) -> str:
    """Put all marks into words, in order."""
    phases = [(phase.begin_s, name) for phase in lane.phases if (name := _phase_name(phase))]
    return _joined([f"{at_s:.1f} s {words}" for at_s, words in sorted([*phases, *lane.events])]) or NONE


def _beside(elsewhere: Sequence[str]) -> str:
    events = _joined(elsewhere)
    return f" Outside of these trials, seconds from the first one's zero: {events}." if events else ""


def _happened(run: Run) -> str:
    """Put all events into words, where there is no trial to draw them in."""
    events = _joined([f"{event.lane} {event.text}".strip() for event in run.events])
    return f" What happened: {events}." if events else ""


def _joined(events: Sequence[str]) -> str:
    more = len(events) - 2 * MOST_MARKS
    return "; ".join(events[: 2 * MOST_MARKS]) + (f"; {more} more are in events.jsonl" if more > 0 else "")


def _rates(lane: _Lane) -> tuple[Floats, Floats, Floats]:
    return lane.bins.offered_per_s, lane.bins.started_per_s, lane.bins.finished_per_s


def _most_cores(lane: _Lane) -> str:
    most = [float(cores.max()) for _, cores in lane.bins.cores.values()]
    return f"{max(most):.2f}" if most else NONE
