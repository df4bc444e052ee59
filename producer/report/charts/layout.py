"""The frame of every chart: axes, room for the legend, and charts one above the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plotly.subplots import make_subplots

from producer.report.charts.labels import escaped
from producer.report.charts.theme import FONT, GRID, HEADING, INK, SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

HEIGHT = 420
TOP = 90
"""Room for a legend of two rows and a title, in pixels."""
ONE_ROW = 56
"""The same for a legend of one row."""
PHONE, ENTRY, LETTER = 270, 40, 7
"""In pixels: a phone's room for a row of a legend, what an entry takes of it without its words, and each letter."""


def logarithmic(digits: Sequence[float] = (1, 2, 5)) -> dict[str, Any]:
    """Return an axis of powers with marks at 1, 2 and 5, or at other digits, written out."""
    marks = [float(f"{digit}e{power}") for power in range(-4, 8) for digit in digits]
    return {
        "type": "log",
        "tickvals": marks,
        "ticktext": [f"{mark:,g}" if mark < 1e6 else f"{mark:g}" for mark in marks],
    }


def stacked(titles: Sequence[str], spacing: float) -> go.Figure:
    """Set charts one above the other, each with its title and this much of the height between them."""
    figure = make_subplots(
        rows=len(titles), cols=1, subplot_titles=list(map(escaped, titles)), vertical_spacing=spacing
    )
    return figure.update_annotations(font=HEADING)


def _top(figure: go.Figure) -> int:
    """Measure the room above a figure: for one row if its legend fits into one on a phone, too."""
    names = [trace.name or "" for trace in figure.data if trace.showlegend is not False]
    wide = sum(ENTRY + LETTER * len(name) for name in names)
    return ONE_ROW if names and wide <= PHONE else TOP


def layout(figure: go.Figure, *, x: str, y: str, height: int = HEIGHT) -> go.Figure:
    """
    Give a figure, whose traces are there, the look of all.

    Args:
        figure: What is drawn.
        x: Name of its horizontal axis.
        y: Name of its vertical axis.
        height: In pixels, with room for a legend of two rows; less if one is enough.
    """
    top = _top(figure)
    axis = {"gridcolor": GRID, "linecolor": INK, "zerolinecolor": GRID, "automargin": True}
    axis["title_font_size"] = SIZE  # no larger than all words: a phone is narrow
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure.update_layout(
        template="none",
        height=height - (TOP - top),
        font={"family": FONT, "color": INK, "size": SIZE},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 60, "r": 20, "t": top, "b": 50},
        legend={"orientation": "h", "yref": "container", "yanchor": "top", "y": 1, "x": 0},
        xaxis_title_text=x,
        yaxis_title_text=y,
        hovermode="closest",
    )


def error_bars(values: Sequence[float], lows: Sequence[float], highs: Sequence[float], colour: str) -> dict[str, Any]:
    """Return plotly's error bars from the low to the high of each value."""
    return {
        "array": [high - value for value, high in zip(values, highs, strict=True)],
        "arrayminus": [value - low for value, low in zip(values, lows, strict=True)],
        "color": colour,
        "thickness": 2,
    }
