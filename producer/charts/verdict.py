"""The verdict: the ratio of two lanes with its interval, and the band within which they are equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from producer.charts.picture import Picture
from producer.charts.theme import INK, LOOKS, layout, logarithmic, text
from producer.report.formats import number
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.rundir import Run

KEY, TITLE = "verdict", "Verdict: lane against lane"
ROW, FRAME = 44, 150
"""Height of a row, and of all that is no row, in pixels."""


def verdict(summary: Mapping[str, Any], run: Run) -> Picture:  # noqa: ARG001 - all pictures are asked alike
    """Ratio and interval of every comparison, on one axis."""
    judged = [each for workload in summary["workloads"] for each in workload["verdicts"]]
    drawn = [each for each in judged if each["ratio"] is not None and each["low"] is not None]
    if not drawn:
        return Picture(
            key=KEY, title=TITLE,
            missing="No two lanes could be compared: a comparison takes a race of two lanes and 3 pairs or more.",
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
        figure=_figure(drawn, margin),
        table=_table(judged),
    )


def _shows(drawn: Sequence[Mapping[str, Any]]) -> str:
    words = [f"{text_of(each)}: {each['word']}" for each in drawn]
    return f"{'; '.join(words)}."


def text_of(each: Mapping[str, Any]) -> str:
    """What a comparison is of."""
    percentile = f" {each['percentile']}" if each["percentile"] else ""
    return f"{each['workload']}, {each['measure']}{percentile}, {each['a']} / {each['b']}"


def _figure(drawn: Sequence[Mapping[str, Any]], margin: float) -> go.Figure:
    figure = go.Figure()
    for measure, look in zip(sorted({each["measure"] for each in drawn}), LOOKS, strict=False):
        rows = [each for each in drawn if each["measure"] == measure]
        figure.add_scatter(
            x=[each["ratio"] for each in rows], y=[text(text_of(each)) for each in rows], mode="markers",
            name=measure, marker={"color": look.colour, "symbol": look.symbol, "size": 11},
            error_x={
                "array": [each["high"] - each["ratio"] for each in rows],
                "arrayminus": [each["ratio"] - each["low"] for each in rows],
                "color": look.colour, "thickness": 2,
            },
            hovertemplate="%{x:.3f}<extra>%{y}</extra>",
        )  # fmt: skip
    figure.add_vrect(x0=1 / (1 + margin), x1=1 + margin, fillcolor=INK, opacity=0.2, line_width=0, name="no difference")
    figure.add_vline(x=1, line={"color": INK, "width": 1})
    figure.update_xaxes(**logarithmic())
    figure.update_yaxes(autorange="reversed")
    return layout(figure, x="ratio, logarithmic", y="", height=FRAME + ROW * len(drawn))


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
