"""The verdict: the ratio of two lanes with its interval, and the band within which they are equal."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from producer.report.charts.picture import Picture
from producer.report.charts.theme import INK, LOOKS, escaped, lane_of, layout, logarithmic
from producer.report.formats import number
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.rundir.run import Run

KEY, TITLE = "verdict", "Verdict: lane against lane"
ROW, FRAME = 48, 150
"""Height of a row, and of all that is no row, in pixels."""

MOST_TOLD = 6
"""Comparisons in a sentence; of more it says how they came out."""

NARROW, DENSE, ENDLESS = 6.0, 100.0, 10_000.0
"""
An axis that spans less than the first has marks close together, more than the second at powers of ten alone, and more
than the third at some of them.
"""


def verdict(summary: Mapping[str, Any], run: Run) -> Picture:  # noqa: ARG001 - all pictures are asked alike
    """Ratio and interval of every comparison, on one axis."""
    judged = [each for workload in summary["workloads"] for each in workload["verdicts"]]
    drawn = [each for each in judged if each["ratio"] is not None and each["low"] is not None]
    if not drawn:
        return Picture(
            key=KEY, title=TITLE,
            missing="No two lanes could be compared: that takes a race or a sweep of two lanes, and 2 pairs or more.",
        )  # fmt: skip
    margin = summary["settings"]["margin"]
    return Picture(
        key=KEY,
        title=TITLE,
        shows=_shows(drawn),
        reads=(
            "A dot is the first lane's figure divided by the second's, the line its 95 % interval; within the grey "
            f"band, {number(1 / (1 + margin))} to {number(1 + margin)}, the difference does not matter, and an "
            "interval that crosses the band's edge leaves it open."
        ),
        figure=_figure(drawn, margin, _pair_of_all(drawn, summary)),
        table=_table(judged),
    )


def _shows(drawn: Sequence[Mapping[str, Any]]) -> str:
    if len(drawn) <= MOST_TOLD:
        return f"{'; '.join(map(_told, drawn))}."
    words = Counter(each["word"] for each in drawn)
    furthest = max(drawn, key=lambda each: abs(math.log(each["ratio"])))
    counts = ", ".join(f"{count} {word}" for word, count in words.most_common())
    return f"{len(drawn)} comparisons: {counts}. The furthest from 1 is {_told(furthest)}."


def _told(each: Mapping[str, Any]) -> str:
    low, high = number(each["low"]), number(each["high"])
    return f"{text_of(each)}: {each['word']}, {number(each['ratio'])} ({low} to {high})"


def text_of(each: Mapping[str, Any]) -> str:
    """What a comparison is of."""
    return f"{each['workload']}, {_measure(each)}, {each['a']} / {each['b']}"


def _measure(each: Mapping[str, Any]) -> str:
    return f"{each['measure']} {each['percentile']}" if each["percentile"] else str(each["measure"])


def _pair_of_all(drawn: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> str:
    """The two lanes, if all comparisons are of the same; otherwise empty."""
    pairs = {f"{lane_of(summary, each['a'])} / {lane_of(summary, each['b'])}" for each in drawn}
    return pairs.pop() if len(pairs) == 1 else ""


def _label(each: Mapping[str, Any], pair: str) -> str:
    """Of a row, in two lines: a phone has no room for one."""
    lanes = "" if pair else f", {each['a']} / {each['b']}"
    return f"{escaped(each['workload'])}<br>{escaped(_measure(each) + lanes)}"


def _figure(drawn: Sequence[Mapping[str, Any]], margin: float, pair: str) -> go.Figure:
    return ratios([{**each, "label": _label(each, pair)} for each in drawn], margin, pair or "ratio")


def ratios(drawn: Sequence[Mapping[str, Any]], margin: float, of: str) -> go.Figure:
    """
    Ratios with their intervals on one axis, a row each, and the band within which a difference does not matter.

    Args:
        drawn: Each with `label`, `measure`, `ratio`, `low` and `high`.
        margin: From 1 to the upper end of the band.
        of: What is divided by what.
    """
    figure = go.Figure()
    span = max(each["high"] for each in drawn) / min(each["low"] for each in drawn)
    for measure, look in zip(sorted({each["measure"] for each in drawn}), LOOKS, strict=False):
        rows = [each for each in drawn if each["measure"] == measure]
        figure.add_scatter(
            x=[each["ratio"] for each in rows], y=[each["label"] for each in rows], mode="markers",
            name=measure, marker={"color": look.colour, "symbol": look.symbol, "size": 11},
            error_x={
                "array": [each["high"] - each["ratio"] for each in rows],
                "arrayminus": [each["ratio"] - each["low"] for each in rows],
                "color": look.colour, "thickness": 2,
            },
            hovertemplate="%{x:.3f}<extra></extra>",
        )  # fmt: skip
    figure.add_vrect(x0=1 / (1 + margin), x1=1 + margin, fillcolor=INK, opacity=0.2, line_width=0, name="no difference")
    figure.add_vline(x=1, line={"color": INK, "width": 1})
    figure.update_xaxes(**_axis(span))
    figure.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=[each["label"] for each in drawn])
    return layout(figure, x=escaped(of), y="", height=FRAME + ROW * len(drawn))


def _axis(span: float) -> dict[str, Any]:
    """A logarithmic axis with as many marks as a phone has room for, of this largest value over the smallest."""
    if span > ENDLESS:
        return {"type": "log", "nticks": 6, "exponentformat": "power"}
    if span < NARROW:
        return logarithmic((1, 1.2, 1.5, 2, 3, 4, 5, 6, 8))
    return logarithmic((1, 2, 5) if span < DENSE else (1,))


def _table(judged: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            text_of(each),
            number(each["ratio"]),
            number(each["low"]),
            number(each["high"]),
            str(each["pairs"]),
            each["word"],
        ]
        for each in judged
    ]
    return Table(title="Ratios", columns=["comparison", "ratio", "low", "high", "pairs", "verdict"], rows=rows)
