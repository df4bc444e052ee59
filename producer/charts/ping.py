"""Ping under load: how long a node takes to answer a control command while its slots work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from producer.charts.picture import Picture
from producer.charts.theme import layout, logarithmic, look, text
from producer.report.formats import count, milliseconds
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.rundir import Run

KEY, TITLE = "ping", "Ping under load"

Group = tuple[str, str, list[float], int]
"""Workload, lane, round trips in seconds, and how many pings had no answer."""


def ping(summary: Mapping[str, Any], run: Run) -> Picture:
    """Every control round trip during a trial, by workload and lane."""
    groups = _groups(summary, run)
    if not any(trips for _, _, trips, _ in groups):
        return Picture(
            key=KEY, title=TITLE,
            missing="No node was pinged: poolrace race does so while a backlog is worked off.",
        )  # fmt: skip
    workload, lane, trips, _ = max(groups, key=lambda group: max(group[2], default=0.0))
    silent = sum(group[3] for group in groups)
    return Picture(
        key=KEY,
        title=TITLE,
        shows=(
            f"The slowest answer took {milliseconds(max(trips))} ms, of a {lane} node at work on {workload} jobs; "
            f"pings without an answer: {silent}."
        ),
        reads=(
            "A mark is one ping and its answer, the box holds the middle half of them: high ones say that the node's "
            "main process had to wait for the CPU or for the interpreter lock, and would be as late to a revoke or a "
            "health check."
        ),
        figure=_figure(groups),
        table=_table(groups),
    )


def _groups(summary: Mapping[str, Any], run: Run) -> list[Group]:
    of_trial = {trial.trial: (trial.workload, trial.lane) for trial in run.trials}
    groups = []
    for workload in summary["workloads"]:
        for lane in workload["lanes"]:
            mine = [p["rtt_s"] for p in run.pings if of_trial.get(p["trial"]) == (workload["workload"], lane["lane"])]
            answered = [trip for trip in mine if trip is not None]
            if mine:
                groups.append((workload["workload"], lane["lane"], answered, len(mine) - len(answered)))
    return groups


def _figure(groups: Sequence[Group]) -> go.Figure:
    figure = go.Figure()
    keys = list(dict.fromkeys(lane for _, lane, _, _ in groups))
    for key in keys:
        own = look(keys, key)
        mine = [(workload, trip) for workload, lane, trips, _ in groups if lane == key for trip in trips]
        figure.add_box(
            x=[text(workload) for workload, _ in mine], y=[trip * 1000 for _, trip in mine], name=text(key),
            boxpoints="all", jitter=0.5, pointpos=0, line={"color": own.colour},
            marker={"color": own.colour, "symbol": own.symbol, "opacity": 0.6},
        )  # fmt: skip
    figure.update_yaxes(**logarithmic())
    layout(figure, x="workload", y="round trip, ms")
    return figure.update_layout(boxmode="group")


def _table(groups: Sequence[Group]) -> Table:
    rows = [
        [
            workload, lane, milliseconds(float(np.median(trips)) if trips else None),
            milliseconds(max(trips, default=None)),
            count(len(trips)), count(silent),
        ]
        for workload, lane, trips, silent in groups
    ]  # fmt: skip
    return Table(
        title="Round trips in ms", columns=["workload", "lane", "median", "slowest", "answers", "no answer"], rows=rows
    )
