"""Memory against slots: what a node of each lane takes, and the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from producer.charts.picture import Picture
from producer.charts.theme import INK, layout, look, text
from producer.report.formats import mebibytes
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.rundir import Run

KEY, TITLE = "memory", "Memory against slots"
MIB = 2**20

Row = tuple[str, int, float]
"""Lane, slots, bytes of the whole node."""


def memory(summary: Mapping[str, Any], run: Run) -> Picture:  # noqa: ARG001 - all pictures are asked alike
    """Memory of a node of each lane, by slots."""
    rows = [*_of_lanes(summary), *_of_sweep(summary)]
    if not rows:
        return Picture(
            key=KEY, title=TITLE,
            missing="No node sent a sample of its memory: a trial of less than a second may end before one is taken.",
        )  # fmt: skip
    limit = ((summary["machine"] or {}).get("limits") or {}).get("memory_bytes")
    lane, slots, most = max(rows, key=lambda row: row[2])
    return Picture(
        key=KEY,
        title=TITLE,
        shows=(
            f"The most is {mebibytes(most)}, a {lane} node with {slots} slots, "
            f"{mebibytes(most / slots)} a slot; the limit is {mebibytes(limit) if limit else 'that of the machine'}."
        ),
        reads=(
            "A bar is the memory of a whole node while it works (PSS: pages that processes share are counted once); "
            "the dashed line, if there is one, is the limit beyond which the system ends it."
        ),
        figure=_figure(rows, limit),
        table=Table(
            title="Memory",
            columns=["lane", "slots", "node", "a slot"],
            rows=[[lane, str(slots), mebibytes(size), mebibytes(size / slots)] for lane, slots, size in rows],
        ),
    )


def _of_lanes(summary: Mapping[str, Any]) -> list[Row]:
    return [
        (lane["key"], lane["slots"], lane["memory_per_slot_bytes"] * lane["slots"])
        for lane in summary["lanes"]
        if lane["memory_per_slot_bytes"] and not summary["sweep"]
    ]


def _of_sweep(summary: Mapping[str, Any]) -> list[Row]:
    points = (summary["sweep"] or {"points": []})["points"]
    found = {
        (lane["lane"], lane["slots"]): lane["memory_bytes"]
        for point in points
        for lane in point["lanes"]
        if lane["memory_bytes"]
    }
    return [(lane, slots, size) for (lane, slots), size in found.items()]


def _figure(rows: Sequence[Row], limit: int | None) -> go.Figure:
    figure = go.Figure()
    keys = list(dict.fromkeys(lane for lane, _, _ in rows))
    for key in keys:
        own = look(keys, key)
        mine = sorted((slots, size) for lane, slots, size in rows if lane == key)
        figure.add_bar(
            x=[str(slots) for slots, _ in mine], y=[size / MIB for _, size in mine], name=text(key),
            marker={"color": own.colour, "pattern": {"shape": own.pattern}},
            hovertemplate="%{y:.1f} MiB<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    if limit:
        figure.add_hline(y=limit / MIB, line={"color": INK, "dash": "dash"}, annotation_text="limit")
    figure.update_xaxes(type="category")
    return layout(figure, x="slots", y="MiB")
