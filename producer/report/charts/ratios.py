"""A chart of ratios: a row each with its interval, and the band within which a difference does not matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from producer.report.charts.labels import escaped
from producer.report.charts.layout import layout, logarithmic
from producer.report.charts.theme import INK, LOOKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.report.charts.theme import LaneStyle

ROW, FRAME = 48, 150
"""Height of a row, and of all that is no row, in pixels."""

NARROW, DENSE, ENDLESS = 6.0, 100.0, 10_000.0
"""
An axis that spans less than the first has marks close together, more than the second at powers of ten alone, and more
than the third at some of them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """
    The look of a row by how sure it is, whatever its colour.

    Attributes:
        width: Of its line, in pixels.
        dash: Plotly's name of its line.
        mark: What plotly adds to the name of a mark.
    """

    width: int
    dash: str
    mark: str


STROKES = {
    "settled": Stroke(width=5, dash="solid", mark=""),
    "likely": Stroke(width=2, dash="solid", mark="-open"),
    "open": Stroke(width=2, dash="dot", mark="-open"),
}
PLAIN = Stroke(width=2, dash="solid", mark="")
"""Of a row that does not say how sure it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """
    A row.

    Attributes:
        label: Words beside it, escaped.
        measure: What was measured, e.g. `capacity`; rows of one measure look alike.
        ratio: One figure divided by another.
        low: Lower end of its interval.
        high: Upper end.
        sure: How sure the word is that rests on it: settled, likely or open; empty if nothing is said of it.
    """

    label: str
    measure: str
    ratio: float
    low: float
    high: float
    sure: str = ""


def ratios(rows: Sequence[Ratio], margin: float, of: str) -> go.Figure:
    """
    Draw ratios with their intervals on one axis, a row each.

    Args:
        rows: At least one.
        margin: From 1 to the upper end of the band within which a difference does not matter.
        of: What is divided by what.
    """
    figure = go.Figure()
    for measure, look in zip(sorted({row.measure for row in rows}), LOOKS, strict=False):
        for sure in dict.fromkeys(row.sure for row in rows if row.measure == measure):
            _add_rows(figure, [row for row in rows if (row.measure, row.sure) == (measure, sure)], look)
        _add_entry(figure, measure, PLAIN, look.colour, look.symbol)
    for sure, stroke in STROKES.items():
        if sure in {row.sure for row in rows}:
            _add_entry(figure, sure, stroke, INK, "circle")
    figure.add_vrect(x0=1 / (1 + margin), x1=1 + margin, fillcolor=INK, opacity=0.2, line_width=0, name="no difference")
    figure.add_vline(x=1, line={"color": INK, "width": 1})
    figure.update_xaxes(**_axis(max(row.high for row in rows) / min(row.low for row in rows)))
    figure.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=[row.label for row in rows])
    return layout(figure, x=escaped(of), y="", height=FRAME + ROW * len(rows))


def _add_rows(figure: go.Figure, rows: Sequence[Ratio], look: LaneStyle) -> None:
    """Draw the intervals of rows that look alike, and their ratios on top."""
    stroke = STROKES.get(rows[0].sure, PLAIN)
    figure.add_scatter(
        x=[end for row in rows for end in (row.low, row.high, None)],
        y=[label for row in rows for label in (row.label, row.label, None)],
        mode="lines+markers",
        line={"color": look.colour, "width": stroke.width, "dash": stroke.dash},
        marker={"color": look.colour, "symbol": "line-ns-open", "size": 9},
        showlegend=False,
        hovertemplate="%{x:.3f}<extra></extra>",
    )
    figure.add_scatter(
        x=[row.ratio for row in rows],
        y=[row.label for row in rows],
        mode="markers",
        marker=_mark(look.colour, look.symbol, stroke),
        showlegend=False,
        hovertemplate="%{x:.3f}<extra></extra>",
    )


def _add_entry(figure: go.Figure, name: str, stroke: Stroke, colour: str, symbol: str) -> None:
    """Add a line to the legend."""
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="lines+markers",
        name=name,
        line={"color": colour, "width": stroke.width, "dash": stroke.dash},
        marker=_mark(colour, symbol, stroke),
    )


def _mark(colour: str, symbol: str, stroke: Stroke) -> dict[str, Any]:
    return {"color": colour, "symbol": symbol + stroke.mark, "size": 11, "line": {"width": 2, "color": colour}}


def _axis(span: float) -> dict[str, Any]:
    """Return a logarithmic axis with as many marks as a phone has room for, for a largest over a smallest value."""
    if span > ENDLESS:
        return {"type": "log", "nticks": 6, "exponentformat": "power"}
    if span < NARROW:
        return logarithmic((1, 1.2, 1.5, 2, 3, 4, 5, 6, 8))
    return logarithmic((1, 2, 5) if span < DENSE else (1,))
