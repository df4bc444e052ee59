"""
Timeline: what was offered, started and finished, what waited, for how long, and the CPU time of nodes, over time.

Phases of a load are shaded; what happened to a lane meanwhile is a line with words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from producer.analysis.bins import bin_length_s, binned, length_s
from producer.analysis.phases import phase_windows
from producer.report.charts.last_trials import last_of_each_lane
from producer.report.charts.over_time import MOST_MARKS, LaneOverTime, over_time, phase_name
from producer.report.charts.picture import Drawn, Missing, picture
from producer.report.charts.swept import lane_keys
from producer.report.formats import NONE, count, milliseconds, number, seconds
from producer.report.parts import Table
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.bins import Floats
    from producer.analysis.summary import Summary
    from producer.rundir.events import Event
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

NOTHING_ENDED = (
    "No trial has a job that was sent and finished, so there is nothing to draw over time. Hold a load: "
    "poolrace load --rate 20/s --duration 1m --mix cpu=1,sleep=1."
)
MOST_LANES = 4
"""Side by side; more would be too narrow. The table has all."""

MOST_NAMED = 2 * MOST_MARKS
"""Marks of a lane in the table, in full."""


@picture(
    key="timeline",
    title="Over time",
    missing=NOTHING_ENDED,
    order=40,
    # What holds a rate for longest first.
    trials=(Kind.LOAD, Kind.PROBE, Kind.LATENCY, Kind.CAPACITY),
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
        figure=over_time(lanes[:MOST_LANES]),
        table=_table(lanes, _elsewhere(run, lanes)),
    )


def _chosen(summary: Summary, run: Run) -> list[Trial]:
    """Choose a trial of each lane, of the workload of the longest, for most can be seen in it."""
    ended = set(run.records.filter(pl.col("finished_at").fill_nan(None).is_not_null())["trial"].to_list())
    able = [trial for trial in run.trials if trial.trial in ended & set(run.sent["trial"].to_list())]
    return last_of_each_lane(able, timeline.trials, _longest, lane_keys(summary))


def _longest(trials: Sequence[Trial]) -> str:
    return max(trials, key=lambda trial: trial.ended_at - trial.began_at).workload


def _lane(run: Run, summary: Summary, trial: Trial, bin_s: float) -> LaneOverTime:
    late = any(lane.key == trial.lane and lane.acks == "late" for lane in summary.lanes)
    return LaneOverTime(
        bins=binned(run, trial, bin_s, acks_late=late),
        phases=phase_windows(run, trial),
        events=_events(run, summary, trial),
    )


def _events(run: Run, summary: Summary, trial: Trial) -> list[tuple[float, str]]:
    """Return the events of the trial's lane, or of no lane, while it ran, and when a threshold was first broken."""
    happened = [(event.at - trial.began_at, event.text) for event in run.events if _within(event, trial)]
    return sorted([*happened, *_broken(summary, trial)])


def _within(event: Event, trial: Trial) -> bool:
    # A node reports its children up to a second later, and what ends a trial is seen as it ends.
    return event.lane in ("", trial.lane) and trial.began_at - 1e-3 <= event.at <= trial.ended_at + 1.0


def _broken(summary: Summary, trial: Trial) -> Iterator[tuple[float, str]]:
    loads = summary.load.lanes if summary.load else ()
    for judged in (each for lane in loads if lane.lane == trial.lane for each in lane.thresholds):
        if judged.since_s is not None and not judged.kept:
            yield judged.since_s, f"broken since here: {judged.threshold}"


def _elsewhere(run: Run, lanes: Sequence[LaneOverTime]) -> list[str]:
    """Return the events outside of the trials that are drawn, in short."""
    trials = [lane.trial for lane in lanes]
    zero = min(trial.began_at for trial in trials)
    return [
        f"{event.at - zero:+.1f} s {event.lane} {event.text}"
        for event in run.events
        if not any(_within(event, trial) for trial in trials)
    ]


def _shows(lanes: Sequence[LaneOverTime]) -> str:
    trial = lanes[0].trial
    lines = "; ".join(
        f"{lane.key} finished {count(_jobs(lane, lane.bins.finished_per_s))} of "
        f"{count(_jobs(lane, lane.bins.offered_per_s))} jobs, "
        f"with a backlog of {count(int(lane.bins.backlog.max()))} and a queue wait of "
        f"{milliseconds(_highest(lane.bins.wait_max_s))} ms at most"
        for lane in lanes
    )
    bins = f"in bins of {seconds(lanes[0].bins.bin_s)}"
    cut = f", drawn for the first {MOST_LANES} of {len(lanes)} lanes" if len(lanes) > MOST_LANES else ""
    return f"The last {trial.kind.value} trial of {trial.workload} {bins}{cut}: {lines}."


def _reads(lanes: Sequence[LaneOverTime]) -> str:
    behind = [lane for lane in lanes if _lag_s(lane) > max(1.0, 2 * lane.bins.bin_s)]
    begin = "Where finished runs below offered the backlog grows, and jobs wait as long as it takes to work it off"
    if not behind:
        return f"{begin}; here every lane ended its last job less than {_patience(lanes)} after the last was due."
    needed = ", ".join(f"{lane.key} needed {seconds(_lag_s(lane))}" for lane in behind)
    return f"{begin}: after the last job was due {needed} to end the rest."


def _patience(lanes: Sequence[LaneOverTime]) -> str:
    return seconds(max(max(1.0, 2 * lane.bins.bin_s) for lane in lanes) + lanes[0].bins.bin_s)


def _lag_s(lane: LaneOverTime) -> float:
    """Measure from the bin of the last job due to that of the last end."""
    due, ended = (np.flatnonzero(rate) for rate in (lane.bins.offered_per_s, lane.bins.finished_per_s))
    return float(ended[-1] - due[-1]) * lane.bins.bin_s if len(due) and len(ended) else 0.0


def _jobs(lane: LaneOverTime, rate_per_s: Floats) -> int:
    return round(float(rate_per_s.sum()) * lane.bins.bin_s)


def _highest(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else None


def _table(lanes: Sequence[LaneOverTime], elsewhere: Sequence[str]) -> Table:
    rows = [
        [
            lane.key,
            seconds(lane.bins.bin_s),
            *(number(float(rate.max())) for rate in _rates(lane)),
            *(count(int(jobs.max())) for jobs in (lane.bins.backlog, lane.bins.ready, lane.bins.unacked)),
            milliseconds(_highest(lane.bins.wait_p50_s)),
            milliseconds(_highest(lane.bins.wait_max_s)),
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
            "wait max ms",
            "cores",
            "phases and events",
        ],
        rows=rows,
        note="Each in its own bin. Queue waits are of the jobs started in a bin; cores are those of one node. Seconds "
        f"of phases and events are from the trial's zero.{_beside(elsewhere)}",
    )


def _marks(lane: LaneOverTime) -> str:
    """Put all marks into words, in order."""
    phases = [(phase.begin_s, name) for phase in lane.phases if (name := phase_name(phase))]
    return _joined([f"{at_s:.1f} s {words}" for at_s, words in sorted([*phases, *lane.events])]) or NONE


def _beside(elsewhere: Sequence[str]) -> str:
    events = _joined(elsewhere)
    return f" Outside of these trials, seconds from the first one's zero: {events}." if events else ""


def _happened(run: Run) -> str:
    """Put all events into words, where there is no trial to draw them in."""
    events = _joined([f"{event.lane} {event.text}".strip() for event in run.events])
    return f" What happened: {events}." if events else ""


def _joined(events: Sequence[str]) -> str:
    more = len(events) - MOST_NAMED
    return "; ".join(events[:MOST_NAMED]) + (f"; {more} more are in events.jsonl" if more > 0 else "")


def _rates(lane: LaneOverTime) -> tuple[Floats, Floats, Floats]:
    return lane.bins.offered_per_s, lane.bins.started_per_s, lane.bins.finished_per_s


def _most_cores(lane: LaneOverTime) -> str:
    most = [float(cores.max()) for _, cores in lane.bins.cores.values()]
    return f"{max(most):.2f}" if most else NONE
