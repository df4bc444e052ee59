"""A chart of ratios: a row each with its interval, and the band within which a difference does not matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from producer.report.charts.labels import escaped
from producer.report.charts.layout import error_bars, layout, logarithmic
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
class Ratio:
    """
    A row.

    Attributes:
        label: Words beside it, escaped.
        measure: What was measured, e.g. `capacity`; rows of one measure look alike.
        ratio: One figure divided by another.
        low: Lower end of its interval.
        high: Upper end.
    """

    label: str
    measure: str
    ratio: float
    low: float
    high: float


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
        _add_measure(figure, measure, [row for row in rows if row.measure == measure], look)
    figure.add_vrect(x0=1 / (1 + margin), x1=1 + margin, fillcolor=INK, opacity=0.2, line_width=0, name="no difference")
    figure.add_vline(x=1, line={"color": INK, "width": 1})
    figure.update_xaxes(**_axis(max(row.high for row in rows) / min(row.low for row in rows)))
    figure.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=[row.label for row in rows])
    return layout(figure, x=escaped(of), y="", height=FRAME + ROW * len(rows))


def _add_measure(figure: go.Figure, measure: str, rows: Sequence[Ratio], look: LaneStyle) -> None:
    values = [row.ratio for row in rows]
    figure.add_scatter(
        x=values,
        y=[row.label for row in rows],
        mode="markers",
        name=measure,
        marker={"color": look.colour, "symbol": look.symbol, "size": 11},
        error_x=error_bars(values, [row.low for row in rows], [row.high for row in rows], look.colour),
        hovertemplate="%{x:.3f}<extra></extra>",
    )


def _axis(span: float) -> dict[str, Any]:
    """Return a logarithmic axis with as many marks as a phone has room for, for a largest over a smallest value."""
    if span > ENDLESS:
        return {"type": "log", "nticks": 6, "exponentformat": "power"}
    if span < NARROW:
        return logarithmic((1, 1.2, 1.5, 2, 3, 4, 5, 6, 8))
    return logarithmic((1, 2, 5) if span < DENSE else (1,))
