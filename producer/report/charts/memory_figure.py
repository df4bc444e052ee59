"""The charts of memory: a bar a lane, or against slots where these vary, with the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from producer.report.charts.labels import escaped
from producer.report.charts.lane_memory import by_lane
from producer.report.charts.layout import layout
from producer.report.charts.theme import GRID, HEADING, INK, OVERLAY, style_of
from producer.report.formats import mebibytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.report.charts.lane_memory import LaneMemory, MemoryLimit, NodeMemory
    from producer.report.charts.theme import LaneStyle

MIB = 2**20
MOST_LANES = 4
"""Side by side; more would be too narrow. The table has all."""

WHOLE, PALE = 1.0, 0.45
"""Opacity of what is private, or not divided, and of what is shared."""


def memory_bars(taken: Sequence[LaneMemory], limit: MemoryLimit | None) -> go.Figure:
    """Draw a bar a lane, its nodes one above the other, each of a private and a shared part."""
    figure, keys = go.Figure(), [each.lane for each in taken]
    for each in taken:
        _add_bar(figure, each, style_of(keys, each.lane))
        figure.add_annotation(
            x=escaped(each.lane),
            y=each.total_bytes / MIB,
            yshift=12,
            showarrow=False,
            text=f"{mebibytes(each.total_bytes / each.slots)} a slot",
        )
    layout(figure, x="", y="PSS, MiB").update_layout(barmode="stack", margin={"t": 40})
    return _with_limit(figure.update_xaxes(showgrid=False), taken, limit)


def _add_bar(figure: go.Figure, lane: LaneMemory, own: LaneStyle) -> None:
    look = {"color": own.colour, "pattern": {"shape": own.pattern, **OVERLAY}, "line": {"color": INK, "width": 1}}
    for node, size in sorted(lane.nodes.items()):
        for words, part, opacity in _parts(size):
            figure.add_bar(
                x=[escaped(lane.lane)],
                y=[part / MIB],
                name=escaped(f"{node} {words}".strip()),
                showlegend=False,
                width=0.5,
                marker={**look, "opacity": opacity},
                text=escaped(f"{node}: {mebibytes(part)} {words}".strip()),
                textposition="inside",
                insidetextanchor="middle",
                textfont={"color": "white" if opacity == WHOLE else INK},
                hovertemplate="%{y:.1f} MiB<extra>%{fullData.name}</extra>",
            )


def _parts(size: NodeMemory) -> list[tuple[str, float, float]]:
    """Return name, bytes and opacity of each part of a bar; the whole, without a name, if it cannot be divided."""
    if size.private_bytes is None or size.shared_bytes is None:
        return [("", size.pss_bytes, WHOLE)]
    return [("private", size.private_bytes, WHOLE), ("shared", size.shared_bytes, PALE)]


def memory_against_slots(taken: Sequence[LaneMemory], limit: MemoryLimit | None) -> go.Figure:
    """Draw a chart a lane: private memory below, shared above it, the whole PSS as a line with marks."""
    series = dict(list(by_lane(taken).items())[:MOST_LANES])
    figure = make_subplots(
        rows=1, cols=len(series), shared_yaxes=True, horizontal_spacing=0.04, column_titles=list(map(escaped, series))
    )
    figure.update_annotations(font=HEADING)
    for place, (key, mine) in enumerate(series.items(), start=1):
        _add_areas(figure, style_of(list(series), key), key, mine, place)
        figure.update_xaxes(
            tickvals=[each.slots for each in mine], gridcolor=GRID, title_text="slots", row=1, col=place
        )
    layout(figure, x="slots", y="PSS of all nodes, MiB").update_layout(margin={"t": 70}, legend_traceorder="normal")
    return _with_limit(figure.update_xaxes(title_text="slots").update_yaxes(rangemode="tozero"), taken, limit)


def _add_areas(figure: go.Figure, own: LaneStyle, key: str, mine: Sequence[LaneMemory], place: int) -> None:
    shared: dict[str, Any] = {
        "x": [each.slots for each in mine],
        "hovertemplate": "%{x} slots: %{y:.1f} MiB<extra>%{fullData.name}</extra>",
        "row": 1,
        "col": place,
    }
    private = [each.private_bytes / MIB for each in mine if each.private_bytes is not None]
    is_divided = len(private) == len(mine)
    if is_divided:
        figure.add_scatter(
            y=private,
            name=escaped(f"{key} private"),
            mode="lines",
            line={"color": own.colour, "dash": "dot"},
            fill="tozeroy",
            fillpattern={"shape": "/", "fgcolor": own.colour, "solidity": 0.25},
            **shared,
        )
    above = {"fill": "tonexty", "fillpattern": {"shape": ".", "fgcolor": own.colour, "solidity": 0.15}}
    figure.add_scatter(
        y=[each.total_bytes / MIB for each in mine],
        name=escaped(f"{key} private and shared" if is_divided else key),
        mode="lines+markers",
        line={"color": own.colour, "dash": own.dash},
        marker={"color": own.colour, "symbol": own.symbol, "size": 9},
        **(above if is_divided else {}),
        **shared,
    )


def _with_limit(figure: go.Figure, taken: Sequence[LaneMemory], limit: MemoryLimit | None) -> go.Figure:
    if limit and limit.is_near(taken):
        most_mib = max(each.total_bytes for each in taken) / MIB
        limit_mib = limit.size_bytes / MIB
        figure.add_hline(y=limit_mib, line={"color": INK, "dash": "dash", "width": 2})
        figure.add_annotation(
            x=0,
            xref="x domain",
            xanchor="left",
            y=limit_mib,
            yref="y",
            yanchor="bottom",
            showarrow=False,
            text=escaped(f"limit of {limit.whose}: {mebibytes(limit.size_bytes)}"),
            font={"color": INK},
        )
        figure.update_yaxes(range=[0, 1.15 * max(limit_mib, most_mib)])
    return figure
