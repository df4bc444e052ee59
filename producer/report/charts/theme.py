"""How pictures look: one colour, mark, dash and pattern a lane, readable on light, on dark, and without colour."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from plotly.subplots import make_subplots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

INK, GRID = "#7d7d7d", "rgba(128,128,128,0.25)"
"""Greys with enough contrast on white and on near-black: the page is see-through."""

FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
SIZE, HEIGHT = 13, 420
TOP = 90
"""Room for a legend of two rows and a title, in pixels."""
ONE_ROW = 56
"""The same for a legend of one row."""
PHONE, ENTRY, LETTER = 270, 40, 7
"""In pixels: what a phone has for a row of a legend, what an entry takes of it without its words, and each letter."""


OVERLAY = {"fillmode": "overlay", "solidity": 0.1, "size": 12}
"""Of a pattern: words on a bar stay readable if it is thin and the colour below it whole."""

HEADING = {"family": FONT, "color": INK, "size": 14}
"""Font of the title of a chart that is one of several in a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStyle:
    """
    What tells a lane from the others.

    Attributes:
        colour: Of its lines and marks.
        symbol: Plotly's name of its mark.
        dash: Plotly's name of its line.
        pattern: Plotly's shape that fills its bars; empty for solid.
    """

    colour: str
    symbol: str
    dash: str
    pattern: str


LOOKS = (
    LaneStyle(colour="#3b7dd8", symbol="circle", dash="solid", pattern=""),
    LaneStyle(colour="#d9822b", symbol="square", dash="dash", pattern="/"),
    LaneStyle(colour="#2a9d6f", symbol="diamond", dash="dot", pattern="x"),
    LaneStyle(colour="#b05fc4", symbol="cross", dash="dashdot", pattern="-"),
    LaneStyle(colour="#8a8a3a", symbol="triangle-up", dash="longdash", pattern="."),
)


def style_of(keys: Sequence[str], key: str) -> LaneStyle:
    """How a lane, or a workload, of several looks; the first ones look the same in every picture."""
    return LOOKS[list(keys).index(key) % len(LOOKS)]


def lane_of(summary: Mapping[str, Any], key: str) -> str:
    """The lane that a sweep varies, by the key that it has at one of the values; of any other run the key itself."""
    points = summary["settings"].get("points", ())
    return str(next((point["lanes"][key] for point in points if key in point["lanes"]), key))


def escaped(words: str) -> str:
    """Words as they are: plotly would take what looks like a tag for one."""
    return escape(words, quote=False)


def logarithmic(digits: Sequence[float] = (1, 2, 5)) -> dict[str, Any]:
    """An axis of powers with marks at 1, 2 and 5, or at other digits, written out."""
    marks = [float(f"{digit}e{power}") for power in range(-4, 8) for digit in digits]
    return {
        "type": "log",
        "tickvals": marks,
        "ticktext": [f"{mark:,g}" if mark < 1e6 else f"{mark:g}" for mark in marks],
    }


def stacked(titles: Sequence[str], spacing: float) -> go.Figure:
    """Charts one above the other, each with its title and this much of the height between them."""
    figure = make_subplots(
        rows=len(titles), cols=1, subplot_titles=list(map(escaped, titles)), vertical_spacing=spacing
    )
    return figure.update_annotations(font=HEADING)


def _top(figure: go.Figure) -> int:
    """Room above a figure: for one row if its legend fits into one on a phone, too."""
    told = [trace.name or "" for trace in figure.data if trace.showlegend is not False]
    wide = sum(ENTRY + LETTER * len(name) for name in told)
    return ONE_ROW if told and wide <= PHONE else TOP


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
    axis = {
        "gridcolor": GRID, "linecolor": INK, "zerolinecolor": GRID, "automargin": True,
        # No larger than all words: a phone is narrow.
        "title_font_size": SIZE,
    }  # fmt: skip
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
