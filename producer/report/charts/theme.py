"""The look of pictures: one colour, mark, dash and pattern a lane, readable on light, on dark, and without colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

INK, GRID = "#7d7d7d", "rgba(128,128,128,0.25)"
"""Greys with enough contrast on white and on near-black: the page is see-through."""

FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
SIZE = 13

OVERLAY = {"fillmode": "overlay", "solidity": 0.1, "size": 12}
"""Options of a pattern: words on a bar stay readable if it is thin and the colour below it whole."""

HEADING = {"family": FONT, "color": INK, "size": 14}
"""Font of the title of a chart that is one of several in a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStyle:
    """
    The marks by which a lane differs from the others.

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
    """Return the look of a lane, or a workload, among several; the first ones look the same in every picture."""
    return LOOKS[list(keys).index(key) % len(LOOKS)]
