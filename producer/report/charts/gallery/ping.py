"""Ping: how long nodes take to answer control commands while their slots work, by workload and lane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from producer.analysis.percentiles import Percentiles, percentiles
from producer.report.charts.labels import escaped
from producer.report.charts.layout import layout, logarithmic
from producer.report.charts.picture import Drawn, picture
from producer.report.charts.swept import lane_keys, lane_of
from producer.report.charts.theme import INK, style_of
from producer.report.formats import count, milliseconds, percent
from producer.report.parts import Table
from producer.report.tables import INTERVALS, percentile_cell
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from producer.analysis.results import LaneResult
    from producer.analysis.summary import Summary
    from producer.rundir.run import Run

NONE_SENT = (
    "No node was pinged during a trial. A race that has time for it pings the nodes of each lane under a backlog of "
    "each workload: poolrace race --workload cpu --workload sleep."
)
MOST_POINTS = 2_000
"""Of a box; with more, only those outside its whiskers are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """
    The pings of one workload and lane.

    Attributes:
        workload: Name of what the slots did meanwhile.
        lane: Whose nodes were asked.
        trips_s: Round trips of those that were answered.
        found: Their percentiles; None without any.
        silent: How many had no answer.
        waited_s: How long those without an answer were waited for; 0 if there are none.
    """

    workload: str
    lane: str
    trips_s: Sequence[float]
    found: Percentiles | None
    silent: int
    waited_s: float


@picture(
    key="ping",
    title="Control round trips under load",
    missing=NONE_SENT,
    order=90,
    trials=(Kind.PING, Kind.CAPACITY),  # in runs of before, it was those of capacity
    compares=True,
)
def ping(summary: Summary, run: Run) -> Drawn | None:
    """Draw every control round trip in a trial, by workload; the one that holds the CPU most is last."""
    shares = _cpu_shares(summary)
    keys = {key: lane_of(summary, key) for key in lane_keys(summary)}
    groups = _groups(run, list(shares), keys)
    if not groups:
        return None
    return Drawn(
        shows=_shows(groups),
        reads=_reads(groups, shares),
        figure=_figure(groups, shares, list(dict.fromkeys(keys.values()))),
        table=_table(groups, shares),
    )


def _cpu_shares(summary: Summary) -> dict[str, float | None]:
    """Return CPU time over service time by workload, ascending, on the lane where jobs waited least for a core."""
    shares = {each.workload: max(map(_cpu_share, each.lanes), default=0.0) for each in summary.workloads}
    return {name: shares[name] or None for name in sorted(shares, key=lambda name: shares[name])}


def _cpu_share(result: LaneResult) -> float:
    if not result.backlog or not result.backlog.cpu or not result.backlog.service:
        return 0.0
    return min(result.backlog.cpu.mean / result.backlog.service.mean, 1.0)


def _groups(run: Run, workloads: Sequence[str], lanes: Mapping[str, str]) -> list[_Group]:
    """Group pings by workload and lane; the lanes of a sweep, which differ at each of its values, are those varied."""
    of = {trial.trial: (trial.workload, lanes.get(trial.lane, trial.lane)) for trial in ping.trials_of(run)}
    names = dict.fromkeys(lanes.values())
    pings: dict[tuple[str, str], list[Mapping[str, Any]]] = {(name, lane): [] for name in workloads for lane in names}
    for each in run.pings:
        if of.get(each["trial"]) in pings:
            pings[of[each["trial"]]].append(each)
    return [_group(name, lane, found) for (name, lane), found in pings.items() if found]


def _group(workload: str, lane: str, pings: Sequence[Mapping[str, Any]]) -> _Group:
    answered = [each for each in pings if each["rtt_s"] is not None]
    return _Group(
        workload=workload,
        lane=lane,
        trips_s=[each["rtt_s"] for each in answered],
        found=percentiles(np.array([each["rtt_s"] for each in answered], dtype=np.float64), _trials(answered)),
        silent=len(pings) - len(answered),
        waited_s=max((each["timeout_s"] for each in pings if each["rtt_s"] is None), default=0.0),
    )


def _trials(pings: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
    """Return the number of each ping's trial, from 0: those of a trial resemble each other."""
    return np.unique([each["trial"] for each in pings], return_inverse=True)[1].astype(np.int64)


def _figure(groups: Sequence[_Group], shares: Mapping[str, float | None], lanes: Sequence[str]) -> go.Figure:
    figure = go.Figure()
    for lane in dict.fromkeys(group.lane for group in groups):
        own, mine = style_of(lanes, lane), [group for group in groups if group.lane == lane]
        points = "all" if all(len(group.trips_s) <= MOST_POINTS for group in mine) else "outliers"
        figure.add_box(
            x=[_name(group.workload, shares) for group in mine for _ in group.trips_s],
            y=[trip_s * 1000 for group in mine for trip_s in group.trips_s],
            name=escaped(lane),
            offsetgroup=escaped(lane),
            boxpoints=points,
            jitter=0.5,
            pointpos=0,
            fillcolor="rgba(128,128,128,0.12)",
            line={"color": own.colour},
            marker={"color": own.colour, "symbol": own.symbol, "opacity": 0.7},
        )
    _add_silent(figure, groups, shares)
    layout(figure, x="workload, with its share of CPU time", y="round trip, ms")
    figure.update_yaxes(**logarithmic())
    order = [_name(name, shares) for name in shares if any(group.workload == name for group in groups)]
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    return figure.update_layout(boxmode="group")


def _add_silent(figure: go.Figure, groups: Sequence[_Group], shares: Mapping[str, float | None]) -> None:
    """Mark pings without an answer where they were given up."""
    silent = [group for group in groups if group.silent]
    if silent:
        figure.add_scatter(
            x=[_name(group.workload, shares) for group in silent],
            y=[group.waited_s * 1000 for group in silent],
            mode="markers",
            name=f"no answer in {_waited(silent)}",
            marker={"symbol": "x", "color": INK, "size": 12},
            hovertext=[escaped(f"{group.lane}: {group.silent} without an answer") for group in silent],
            hoverinfo="text",
        )


def _waited(groups: Sequence[_Group]) -> str:
    return f"{max(group.waited_s for group in groups):g} s"


def _name(workload: str, shares: Mapping[str, float | None]) -> str:
    return escaped(f"{workload} ({percent(shares[workload])})" if shares[workload] is not None else workload)


def _shows(groups: Sequence[_Group]) -> str:
    trips = "; ".join(_trips(group) for group in groups)
    silent, sent = sum(group.silent for group in groups), sum(group.silent + len(group.trips_s) for group in groups)
    none = (
        f"{count(silent)} of {count(sent)} pings had no answer in {_waited(groups)}"
        if silent
        else "every ping was answered"
    )
    return f"Round trips of control pings, p50 and max: {trips}; {none}."


def _trips(group: _Group) -> str:
    if group.found is None:
        return f"{group.workload} on {group.lane} none was answered"
    return f"{group.workload} on {group.lane} {milliseconds(group.found.p50)} and {milliseconds(group.found.max)} ms"


def _reads(groups: Sequence[_Group], shares: Mapping[str, float | None]) -> str:
    begin = "A mark is a ping, the box the middle half of them, and workloads stand by their share of CPU time"
    heaviest = [group for group in groups if group.workload == groups[-1].workload and group.found]
    if len(heaviest) < 2:
        return f"{begin}: the higher, the later a node would heed a revoke or a health check."
    slow, fast = (pick(heaviest, key=_median) for pick in (max, min))
    times = _median(slow) / _median(fast)
    share = f" ({percent(shares[slow.workload])} CPU)" if shares[slow.workload] is not None else ""
    return (
        f"{begin}: by the p50 at {slow.workload}{share}, a node of {slow.lane} takes {times:.1f} times as long as one "
        f"of {fast.lane} to heed a revoke or a health check."
    )


def _median(group: _Group) -> float:
    return group.found.p50 if group.found else 0.0


def _table(groups: Sequence[_Group], shares: Mapping[str, float | None]) -> Table:
    rows = [
        [
            group.workload,
            percent(shares[group.workload]),
            group.lane,
            *(percentile_cell(group.found, name) for name in ("p50", "p99")),
            milliseconds(group.found.max if group.found else None),
            count(len(group.trips_s) + group.silent),
            count(group.silent),
        ]
        for group in groups
    ]
    return Table(
        title="Control round trips, in ms",
        columns=["workload", "CPU share", "lane", "p50", "p99", "max", "pings", "no answer"],
        rows=rows,
        note=f"CPU share is of the lane where jobs wait least for a core. {INTERVALS}",
    )
