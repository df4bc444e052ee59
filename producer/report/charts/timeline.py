"""
Timeline: what was offered, started and finished, what waited, for how long, and the CPU time of nodes, over time.

Phases of a load are shaded; what happened to a lane meanwhile is a line with words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from plotly.subplots import make_subplots

from poolrace.contract import Outcome
from producer.analysis.percentiles import percentiles
from producer.report.charts.picture import Picture
from producer.report.charts.theme import HEADING, INK, LOOKS, escaped, layout
from producer.report.formats import NONE, count, milliseconds, number, seconds
from producer.report.parts import Table
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from producer.rundir.events import Event
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

    Floats = NDArray[np.float64]

KEY, TITLE = "timeline", "Over time"
MISSING = (
    "No trial has a job that was sent and finished, so there is no course to draw. Hold a load: "
    "poolrace load --rate 20/s --duration 1m --mix cpu=1,sleep=1."
)
_BEGUN = pl.coalesce(pl.col("started_at").fill_nan(None), "finished_at")
"""When a job that is acknowledged early is: as a slot takes it, or as it is dropped."""

KINDS = (Kind.LOAD, Kind.CONFIRMATION, Kind.PROBE, Kind.LATENCY, Kind.CAPACITY)
"""What holds a rate for longest first."""

MOST_POINTS = 600
"""Of a line: about one for each pixel or two."""

SHORT_S, FEWEST = 20.0, 20
"""Bins are a second and more, but a trial that is shorter than this is cut into so many."""

STEPS = (1, 2, 5)
MOST_MARKS, MOST_LETTERS = 12, 44
"""Of a lane, and of the words beside one; more would hide the lines. The table has twice as many, in full."""

MOST_LANES = 4
"""Side by side; more would be too narrow. The table has all."""

RATES, BACKLOG, WAIT, CPU = 1, 2, 3, 4
"""The rows."""

LABELS = {RATES: "jobs/s", BACKLOG: "backlog, jobs", WAIT: "queue wait, ms", CPU: "cores used"}
HEIGHT = 760
SHADE = "rgba(128,128,128,0.12)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """
    One trial of one lane, in bins of equal length.

    Attributes:
        trial: Which.
        bin_s: Length of a bin, in seconds.
        at_s: Middle of each bin, from the trial's zero.
        offered_per_s: Jobs due in each bin, by its length.
        started_per_s: Jobs that a slot began.
        finished_per_s: Jobs that succeeded.
        ready: Jobs of the backlog that no node had taken, at the moment of each bin in which the backlog was highest.
        unacked: Those that one had taken and not acknowledged, at the same moment.
        wait_p50_s: Queue wait of the jobs started in each bin, the median; NaN without any.
        wait_p99_s: The same, the 99th percentile.
        cores: By node, instants and CPU seconds per second since the sample before.
        phases: Of a load: name, begin and end, in seconds from the trial's zero.
        events: When, likewise, and what happened.
    """

    trial: Trial
    bin_s: float
    at_s: Floats
    offered_per_s: Floats
    started_per_s: Floats
    finished_per_s: Floats
    ready: NDArray[np.int64]
    unacked: NDArray[np.int64]
    wait_p50_s: Floats
    wait_p99_s: Floats
    cores: Mapping[str, tuple[Floats, Floats]]
    phases: Sequence[tuple[str, float, float]]
    events: Sequence[tuple[float, str]]

    @property
    def backlog(self) -> NDArray[np.int64]:
        """Both, the most in each bin."""
        return self.ready + self.unacked

    @property
    def lane(self) -> str:
        """The lane's key."""
        return self.trial.lane


def timeline(summary: Mapping[str, Any], run: Run) -> Picture:
    """A trial of each lane over time, side by side, with a load's phases and what happened while it ran."""
    trials = _chosen(summary, run)
    if not trials:
        return Picture(key=KEY, title=TITLE, missing=f"{MISSING}{_happened(run)}")
    bin_s = _bin_s(max(_span_s(run, trial) for trial in trials))
    courses = [_course(run, summary, trial, bin_s) for trial in trials]
    return Picture(
        key=KEY,
        title=TITLE,
        shows=_shows(courses),
        reads=_reads(courses),
        figure=_figure(courses[:MOST_LANES]),
        table=_table(courses, _elsewhere(run, courses)),
    )


def _chosen(summary: Mapping[str, Any], run: Run) -> list[Trial]:
    """The last trial of each lane, of one kind and workload: those of the longest, for most can be seen in it."""
    ended = set(run.records.filter(pl.col("finished_at").fill_nan(None).is_not_null())["trial"].to_list())
    able = [trial for trial in run.trials if trial.trial in ended & set(run.sent["trial"].to_list())]
    kind = next((kind for kind in KINDS if any(trial.kind is kind for trial in able)), None)
    able = [trial for trial in able if trial.kind is kind]
    if not able:
        return []
    longest = max(able, key=lambda trial: trial.ended_at - trial.began_at)
    last = {trial.lane: trial for trial in able if trial.workload == longest.workload}
    order = [lane["key"] for lane in summary["lanes"]]
    return sorted(last.values(), key=lambda trial: order.index(trial.lane) if trial.lane in order else len(order))


def _bin_s(span_s: float) -> float:
    """A round length, of which at most `MOST_POINTS` fill the time."""
    least_s = span_s / (MOST_POINTS if span_s >= SHORT_S else FEWEST)
    power = 10.0 ** math.floor(math.log10(least_s)) if least_s > 0 else 1.0
    found = next(step * power for step in (*STEPS, 10) if step * power >= least_s * (1 - 1e-9))
    return max(found, 1.0) if span_s >= SHORT_S else found


def _span_s(run: Run, trial: Trial) -> float:
    """From a trial's zero to its last end, or to that of its plan."""
    last = run.records.filter(pl.col("trial") == trial.trial).select("started_at", "finished_at").to_numpy()
    due = run.sent.filter(pl.col("trial") == trial.trial).select("due_at", "sent_at").to_numpy()
    return max(trial.planned_s or 0.0, float(np.nanmax(last)) - trial.began_at, float(np.nanmax(due)) - trial.began_at)


def _course(run: Run, summary: Mapping[str, Any], trial: Trial, bin_s: float) -> _Course:
    sent = run.sent.filter(pl.col("trial") == trial.trial)
    records = run.records.filter(pl.col("trial") == trial.trial)
    accepted = sent.filter(pl.col("accepted_at").fill_nan(None).is_not_null())
    finals = records.filter(pl.col("outcome") != Outcome.RETRIED.label).sort("finished_at").unique("seq", keep="first")
    done = finals.filter(pl.col("outcome") == Outcome.SUCCEEDED.label)
    started = records.filter(pl.col("started_at").fill_nan(None).is_not_null())
    begun_s = _offsets(started, "started_at", trial)
    span_s = _span_s(run, trial)
    edges: Floats = np.arange(math.floor(span_s / bin_s + 1e-9) + 2, dtype=np.float64) * bin_s
    late = any(lane["key"] == trial.lane and lane.get("acks") == "late" for lane in summary["lanes"])
    ready, unacked = _backlog(
        _offsets(accepted, "sent_at", trial),
        _offsets(records.group_by("seq").agg(pl.col("received_at").fill_nan(None).min()), "received_at", trial),
        _offsets(finals if late else finals.with_columns(finished_at=_BEGUN), "finished_at", trial),
        edges,
    )
    p50, p99 = _waits(begun_s, (started["started_at"] - started["sent_at"]).to_numpy(), edges)
    return _Course(
        trial=trial, bin_s=bin_s, at_s=edges[:-1] + bin_s / 2,
        offered_per_s=_per_s(_offsets(sent, "due_at", trial), edges), started_per_s=_per_s(begun_s, edges),
        finished_per_s=_per_s(_offsets(done, "finished_at", trial), edges),
        ready=ready, unacked=unacked,
        wait_p50_s=p50, wait_p99_s=p99, cores=dict(_cores(run, trial, span_s)),
        phases=list(_phases(summary, trial)), events=_events(run, summary, trial),
    )  # fmt: skip


def _offsets(frame: pl.DataFrame, column: str, trial: Trial) -> Floats:
    """Instants from the trial's zero, in seconds; a job's that is not known is left out."""
    return (frame[column].fill_nan(None).drop_nulls() - trial.began_at).to_numpy()


def _places(offsets_s: Floats, edges: Floats) -> NDArray[np.int64]:
    """In which bin each lies; clocks that disagree a little may put the first before the zero."""
    bin_s = edges[1] - edges[0]
    places: NDArray[np.int64] = np.floor(offsets_s / bin_s + 1e-6).astype(np.int64)
    return places.clip(0, len(edges) - 2)


def _per_s(offsets_s: Floats, edges: Floats) -> Floats:
    found = np.bincount(_places(offsets_s, edges), minlength=len(edges) - 1)
    rates: Floats = found / (edges[1] - edges[0])
    return rates


def _backlog(sent_s: Floats, taken_s: Floats, settled_s: Floats, edges: Floats) -> NDArray[np.int64]:
    """
    How many jobs were ready and how many unacked, two rows, at the last moment of each bin at which both are the most.

    What a bin begins with counts, too. A job of which no node told is ready to the end.
    """
    bins = np.arange(len(edges) - 1)
    moments = np.concatenate([sent_s, taken_s, settled_s])
    order = np.argsort(moments, kind="stable")
    counts = len(sent_s), len(taken_s), len(settled_s)
    steps = np.array([np.repeat([1, -1, 0], counts), np.repeat([0, 1, -1], counts)])[:, order]
    # The first level is before any moment, so that each bin has one that it begins with.
    levels = np.concatenate([np.zeros((2, 1), np.int64), steps.cumsum(axis=1)], axis=1)
    places = np.concatenate([[-1], _places(moments[order], edges)])
    before = levels[:, np.searchsorted(places, bins) - 1]
    highest = np.lexsort((levels.sum(axis=0), places))
    last = highest[np.searchsorted(places[highest], bins, side="right") - 1]
    higher = (places[last] == bins) & (levels[:, last].sum(axis=0) > before.sum(axis=0))
    most: NDArray[np.int64] = np.where(higher, levels[:, last], before)
    return most


def _waits(begun_s: Floats, waits_s: Floats, edges: Floats) -> tuple[Floats, Floats]:
    p50, p99 = np.full(len(edges) - 1, np.nan), np.full(len(edges) - 1, np.nan)
    places = _places(begun_s, edges)
    order = np.argsort(places, kind="stable")
    bins, first = np.unique(places[order], return_index=True)
    # Where no job was started, there is one part all the same, an empty one.
    for place, part in zip(bins, np.split(waits_s[order], first[1:])[: len(bins)], strict=True):
        if found := percentiles(part):
            p50[place], p99[place] = found.p50, found.p99
    return p50, p99


def _cores(run: Run, trial: Trial, span_s: float) -> Iterator[tuple[str, tuple[Floats, Floats]]]:
    """CPU seconds per second of each node of the lane, from one sample to the next."""
    during = pl.col("at").is_between(trial.began_at - 1.0, trial.began_at + span_s + 1.0)
    mine = run.samples.filter(pl.col("lane") == trial.lane, during).sort("at")
    for (node,), part in sorted(mine.partition_by("node", as_dict=True).items()):
        thin = part.gather_every(max(1, math.ceil(part.height / MOST_POINTS)))
        at_s, cpu_s = (thin["at"] - trial.began_at).to_numpy(), thin["cpu_s"].to_numpy()
        steps = np.diff(at_s) > 0
        if steps.any():
            yield str(node), (at_s[1:][steps], np.diff(cpu_s)[steps] / np.diff(at_s)[steps])


def _figure(courses: Sequence[_Course]) -> go.Figure:
    figure = make_subplots(
        rows=len(LABELS), cols=len(courses), shared_xaxes="all", shared_yaxes="rows", vertical_spacing=0.05,
        horizontal_spacing=0.03, row_heights=[3, 2, 2, 2], column_titles=[escaped(course.lane) for course in courses],
    )  # fmt: skip
    figure.update_annotations(font=HEADING, yshift=18)
    for place, course in enumerate(courses, start=1):
        _add_lines(figure, course, place)
        _add_phases(figure, course, place)
        _add_events(figure, course, place)
    layout(figure, x="", y="", height=HEIGHT).update_layout(hovermode="x", margin={"t": 130})
    for row, label in LABELS.items():
        figure.update_yaxes(title_text=label, row=row, col=1)
    figure.update_yaxes(rangemode="tozero")
    return figure.update_xaxes(title_text="seconds", row=len(LABELS))


def _add_lines(figure: go.Figure, course: _Course, place: int) -> None:
    offered, started, finished, p50, p99 = (LOOKS[number] for number in (3, 1, 0, 0, 1))
    lines = (
        ("offered", RATES, course.offered_per_s, offered.colour, "dot"),
        ("started", RATES, course.started_per_s, started.colour, "dash"),
        ("finished", RATES, course.finished_per_s, finished.colour, "solid"),
        ("queue wait p50", WAIT, course.wait_p50_s * 1000, p50.colour, "solid"),
        ("queue wait p99", WAIT, course.wait_p99_s * 1000, p99.colour, "dash"),
    )
    for name, row, y, colour, dash in lines:
        figure.add_scatter(
            x=course.at_s, y=y, name=name, legendgroup=name, showlegend=place == 1,
            # A second between two without a wait would be no line.
            mode="lines+markers" if row == WAIT else "lines", marker={"size": 3},
            line={"color": colour, "dash": dash, "width": 1.5}, connectgaps=False, row=row, col=place,
            hovertemplate=f"{name} %{{y:,.3~g}}<extra></extra>",
        )  # fmt: skip
    _add_backlog(figure, course, place)
    for turn, (node, (at_s, cores)) in enumerate(course.cores.items()):
        own = LOOKS[(place - 1 + turn) % len(LOOKS)]
        figure.add_scatter(
            x=at_s, y=cores, name=f"CPU of {escaped(node)}", mode="lines+markers", row=CPU, col=place,
            line={"color": own.colour, "dash": own.dash, "width": 1.5}, marker={"symbol": own.symbol, "size": 4},
            hovertemplate="%{y:.2f} cores<extra>%{fullData.name}</extra>",
        )  # fmt: skip


def _add_backlog(figure: go.Figure, course: _Course, place: int) -> None:
    """Two areas, one on the other, that differ by pattern as well."""
    parts = (("unacked", course.unacked, LOOKS[3], "/"), ("ready", course.ready, LOOKS[2], "."))
    for name, jobs, own, pattern in parts:
        figure.add_scatter(
            x=course.at_s, y=jobs, name=name, legendgroup=name, showlegend=place == 1, mode="lines",
            stackgroup="backlog", line={"color": own.colour, "dash": own.dash, "width": 1.5},
            fillpattern={"shape": pattern, "fgcolor": own.colour, "solidity": 0.2}, row=BACKLOG, col=place,
            hovertemplate=f"{name} %{{y:,}}<extra></extra>",
        )  # fmt: skip


def _add_phases(figure: go.Figure, course: _Course, place: int) -> None:
    """Every second phase of a load is shaded, and each that was reached is named."""
    for turn, (name, begin_s, end_s) in enumerate(course.phases):
        figure.add_vrect(
            x0=begin_s, x1=end_s, line_width=0, fillcolor=SHADE if turn % 2 else "rgba(0,0,0,0)", layer="below",
            row="all", col=place,
        )  # fmt: skip
        if name:
            _say(figure, escaped(name), begin_s, place)


def _add_events(figure: go.Figure, course: _Course, place: int) -> None:
    for at_s, words in course.events[:MOST_MARKS]:
        short = words if len(words) <= MOST_LETTERS else f"{words[:MOST_LETTERS]}…"
        figure.add_vline(x=at_s, line={"color": INK, "dash": "dashdot", "width": 1}, row="all", col=place)
        _say(figure, escaped(short), at_s, place)


def _say(figure: go.Figure, words: str, at_s: float, place: int) -> None:
    """A word at an instant, upright beside its line, in the topmost chart of a lane."""
    figure.add_annotation(
        x=at_s, y=1, yref="y domain", xanchor="left", yanchor="top", textangle=90, showarrow=False, text=words,
        font={"color": INK, "size": 11}, row=RATES, col=place,
    )  # fmt: skip


def _phases(summary: Mapping[str, Any], trial: Trial) -> Iterator[tuple[str, float, float]]:
    """Those of a load that were reached; the only one needs no name."""
    begin_s = 0.0
    phases = summary["settings"].get("phases", []) if trial.kind is Kind.LOAD else []
    for phase in phases:
        end_s = min(begin_s + phase["duration_s"], trial.planned_s or math.inf)
        if end_s <= begin_s:
            return
        name = phase["name"] if phase["counts"] else f"{phase['name']} (does not count)"
        yield name if len(phases) > 1 else "", begin_s, end_s
        begin_s = end_s


def _events(run: Run, summary: Mapping[str, Any], trial: Trial) -> list[tuple[float, str]]:
    """What happened to the trial's lane, or to no lane alone, while it ran; and since when a threshold was broken."""
    happened = [(event.at - trial.began_at, event.text) for event in run.events if _within(event, trial)]
    return sorted([*happened, *_broken(summary, trial)])


def _within(event: Event, trial: Trial) -> bool:
    # A node tells of its children up to a second later, and what ends a trial is seen as it ends.
    return event.lane in ("", trial.lane) and trial.began_at - 1e-3 <= event.at <= trial.ended_at + 1.0


def _broken(summary: Mapping[str, Any], trial: Trial) -> Iterator[tuple[float, str]]:
    held = summary.get("load", ()) if trial.kind is Kind.LOAD else ()
    for judged in (each for lane in held if lane["lane"] == trial.lane for each in lane["thresholds"]):
        if judged["since_s"] is not None and not judged["kept"]:
            yield judged["since_s"], f"broken since here: {judged['threshold']}"


def _elsewhere(run: Run, courses: Sequence[_Course]) -> list[str]:
    """What happened outside of the trials that are drawn, in short."""
    trials = [course.trial for course in courses]
    zero = min(trial.began_at for trial in trials)
    return [
        f"{event.at - zero:+.1f} s {event.lane} {event.text}"
        for event in run.events
        if not any(_within(event, trial) for trial in trials)
    ]


def _shows(courses: Sequence[_Course]) -> str:
    trial = courses[0].trial
    told = "; ".join(
        f"{course.lane} finished {count(_jobs(course, course.finished_per_s))} of "
        f"{count(_jobs(course, course.offered_per_s))} jobs, "
        f"with a backlog of {count(int(course.backlog.max()))} at most and a queue wait p99 of "
        f"{milliseconds(_highest(course.wait_p99_s))} ms in its worst bin"
        for course in courses
    )
    cut = f", drawn for the first {MOST_LANES} of {len(courses)} lanes" if len(courses) > MOST_LANES else ""
    return f"The last {trial.kind.value} trial of {trial.workload} in bins of {seconds(courses[0].bin_s)}{cut}: {told}."


def _reads(courses: Sequence[_Course]) -> str:
    behind = [course for course in courses if _lag_s(course) > max(1.0, 2 * course.bin_s)]
    begin = "Where finished runs below offered the backlog grows, and jobs wait as long as it takes to work it off"
    if not behind:
        return f"{begin}; here every lane ended its last job less than {_patience(courses)} after the last was due."
    told = ", ".join(f"{course.lane} needed {seconds(_lag_s(course))}" for course in behind)
    return f"{begin}: after the last job was due {told} to end the rest."


def _patience(courses: Sequence[_Course]) -> str:
    return seconds(max(max(1.0, 2 * course.bin_s) for course in courses) + courses[0].bin_s)


def _lag_s(course: _Course) -> float:
    """From the bin of the last job due to that of the last end."""
    due, ended = (np.flatnonzero(rate) for rate in (course.offered_per_s, course.finished_per_s))
    return float(ended[-1] - due[-1]) * course.bin_s if len(due) and len(ended) else 0.0


def _jobs(course: _Course, rate_per_s: Floats) -> int:
    return round(float(rate_per_s.sum()) * course.bin_s)


def _highest(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else None


def _table(courses: Sequence[_Course], elsewhere: Sequence[str]) -> Table:
    rows = [
        [
            course.lane, seconds(course.bin_s), *(number(float(rate.max())) for rate in _rates(course)),
            *(count(int(jobs.max())) for jobs in (course.backlog, course.ready, course.unacked)),
            milliseconds(_highest(course.wait_p50_s)), milliseconds(_highest(course.wait_p99_s)),
            _most_cores(course), _marks(course),
        ]
        for course in courses
    ]  # fmt: skip
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


def _marks(course: _Course) -> str:
    """All that is marked, in order, as words."""
    phases = [(begin_s, name) for name, begin_s, _ in course.phases if name]
    return _joined([f"{at_s:.1f} s {words}" for at_s, words in sorted([*phases, *course.events])]) or NONE


def _beside(elsewhere: Sequence[str]) -> str:
    told = _joined(elsewhere)
    return f" Outside of these trials, seconds from the first one's zero: {told}." if told else ""


def _happened(run: Run) -> str:
    """All events, where there is no trial to draw them in."""
    told = _joined([f"{event.lane} {event.text}".strip() for event in run.events])
    return f" What happened: {told}." if told else ""


def _joined(told: Sequence[str]) -> str:
    more = len(told) - 2 * MOST_MARKS
    return "; ".join(told[: 2 * MOST_MARKS]) + (f"; {more} more are in events.jsonl" if more > 0 else "")


def _rates(course: _Course) -> tuple[Floats, Floats, Floats]:
    return course.offered_per_s, course.started_per_s, course.finished_per_s


def _most_cores(course: _Course) -> str:
    most = [float(cores.max()) for _, cores in course.cores.values()]
    return f"{max(most):.2f}" if most else NONE
