"""What changed from one run to another: the ratio of each figure with its interval, and the band of no difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.analysis.verdict import MARGIN
from producer.analysis.verdict_words import NO_DIFFERENCE, NO_VERDICT
from producer.report.charts.picture import Picture
from producer.report.charts.theme import escaped
from producer.report.charts.verdict import ratios
from producer.report.formats import number
from producer.report.plain import second_over_first

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY, TITLE = "changes", "What changed"


def changes(found: Mapping[str, Any]) -> Picture:
    """
    Ratio and interval of every figure that both runs have.

    Args:
        found: What `producer.analysis.compare.compare_runs` found.
    """
    drawn = [each for each in found["changes"] if each["ratio"] is not None and each["low"] is not None]
    if not drawn:
        return Picture(
            key=KEY, title=TITLE,
            missing="No figure has an interval in both runs: that takes 3 pairs or more, e.g. poolrace race --pairs 5.",
        )  # fmt: skip
    return Picture(
        key=KEY,
        title=TITLE,
        shows=_shows(drawn),
        reads=(
            "A dot is the second run's figure divided by the first's, the line its 95 % interval: more is better for "
            f"capacity and worse for latency. Within the grey band, {number(1 / (1 + MARGIN))} to "
            f"{number(1 + MARGIN)}, the difference does not matter."
        ),
        figure=ratios([{**each, "label": _label(each)} for each in drawn], MARGIN, "second run / first run"),
        table=second_over_first(found),
    )


def _label(each: Mapping[str, Any]) -> str:
    """Of a row, in two lines: a phone has no room for one."""
    return f"{escaped(each['workload'])}, {escaped(each['lane'])}<br>{escaped(each['measure'])}"


def _shows(drawn: list[Mapping[str, Any]]) -> str:
    same = [each for each in drawn if each["word"] == NO_DIFFERENCE]
    open_ = [each for each in drawn if each["word"] == NO_VERDICT]
    told = [
        f"{each['workload']} on {each['lane']}, {each['measure']}: {each['word']}, {number(each['ratio'])} "
        f"({number(each['low'])} to {number(each['high'])})"
        for each in drawn
        if each not in same and each not in open_
    ]
    rest = f"{len(same)} of {len(drawn)} figures show no difference, and {len(open_)} are open"
    return f"{'; '.join([*told, rest])}."
