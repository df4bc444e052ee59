"""The charts of a lane over time: rates, backlog, queue waits and cores, one above the other, lanes side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from plotly.subplots import make_subplots

from producer.report.charts.labels import escaped
from producer.report.charts.layout import layout
from producer.report.charts.theme import HEADING, INK, LOOKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from producer.analysis.bins import TrialBins
    from producer.analysis.phases import PhaseWindow
    from producer.rundir.trials import Trial

MOST_MARKS, MOST_LETTERS = 12, 44
"""Of a lane, and of the words beside one; more would hide the lines."""

RATES, BACKLOG, WAIT, CPU = 1, 2, 3, 4
"""The rows."""

LABELS = {RATES: "jobs/s", BACKLOG: "backlog, jobs", WAIT: "queue wait, ms", CPU: "cores used"}
HEIGHT = 760
SHADE, CLEAR = "rgba(128,128,128,0.12)", "rgba(0,0,0,0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOverTime:
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


def phase_name(phase: PhaseWindow) -> str:
    """Name a phase; the only one needs no name."""
    if phase.alone:
        return ""
    return phase.name if phase.counts else f"{phase.name} (does not count)"


def over_time(lanes: Sequence[LaneOverTime]) -> go.Figure:
    """Draw lanes side by side, with phases shaded and events as lines with words."""
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


def _add_lines(figure: go.Figure, lane: LaneOverTime, place: int) -> None:
    offered, started, finished, p50, longest = (LOOKS[number] for number in (3, 1, 0, 0, 1))
    lines = (
        ("offered", RATES, lane.bins.offered_per_s, offered.colour, "dot"),
        ("started", RATES, lane.bins.started_per_s, started.colour, "dash"),
        ("finished", RATES, lane.bins.finished_per_s, finished.colour, "solid"),
        ("queue wait p50", WAIT, lane.bins.wait_p50_s * 1000, p50.colour, "solid"),
        ("longest queue wait", WAIT, lane.bins.wait_max_s * 1000, longest.colour, "dash"),
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


def _add_cores(figure: go.Figure, lane: LaneOverTime, place: int) -> None:
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


def _add_backlog(figure: go.Figure, lane: LaneOverTime, place: int) -> None:
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


def _add_phases(figure: go.Figure, lane: LaneOverTime, place: int) -> None:
    """Shade every second phase of a load, and name each that was reached."""
    for turn, phase in enumerate(lane.phases):
        colour = SHADE if turn % 2 else CLEAR
        span = {"x0": phase.begin_s, "x1": phase.end_s}
        figure.add_vrect(**span, line_width=0, fillcolor=colour, layer="below", row="all", col=place)
        if name := phase_name(phase):
            _say(figure, escaped(name), phase.begin_s, place)


def _add_events(figure: go.Figure, lane: LaneOverTime, place: int) -> None:
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
