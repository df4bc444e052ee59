"""Changes from one run to another: the ratio of each figure with its interval, and the band of no difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.analysis.verdict import MARGIN
from producer.analysis.verdict_words import NO_DIFFERENCE, OPEN
from producer.report.charts.labels import escaped
from producer.report.charts.picture import Drawn, Frame
from producer.report.charts.ratios import Ratio, ratios
from producer.report.comparison import second_over_first
from producer.report.formats import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.compare import Comparison, FigureChange
    from producer.report.charts.picture import Picture

FRAME = Frame(
    key="changes",
    title="What changed",
    missing="No figure has an interval in both runs: that takes 3 pairs or more, e.g. poolrace race --pairs 5.",
)
READS = (
    "A dot is the second run's figure divided by the first's, the line its 95 % interval: more is better for capacity "
    f"and worse for latency. Within the grey band, {number(1 / (1 + MARGIN))} to {number(1 + MARGIN)}, the difference "
    "does not matter."
)


def changes(found: Comparison) -> Picture:
    """
    Draw ratio and interval of every figure that both runs have.

    Args:
        found: The comparison of both, from `producer.analysis.compare.compare_runs`.
    """
    return FRAME.around(_drawn(found))


def _drawn(found: Comparison) -> Drawn | None:
    rows = [
        Ratio(label=_label(each), measure=each.measure, ratio=each.ratio, low=each.low, high=each.high)
        for each in found.changes
        if each.ratio is not None and each.low is not None and each.high is not None
    ]
    if not rows:
        return None
    return Drawn(
        shows=_shows([each for each in found.changes if each.low is not None]),
        reads=READS,
        figure=ratios(rows, MARGIN, "second run / first run"),
        table=second_over_first(found),
    )


def _label(each: FigureChange) -> str:
    """Label a row in two lines: a phone has no room for one."""
    return f"{escaped(each.workload)}, {escaped(each.lane)}<br>{escaped(each.measure)}"


def _shows(known: Sequence[FigureChange]) -> str:
    same = [each for each in known if each.word == NO_DIFFERENCE]
    undecided = [each for each in known if each.word == OPEN]
    changed = [
        f"{each.workload} on {each.lane}, {each.measure}: {each.word}, {number(each.ratio)} "
        f"({number(each.low)} to {number(each.high)})"
        for each in known
        if each not in same and each not in undecided
    ]
    rest = f"{len(same)} of {len(known)} figures show no difference, and {len(undecided)} are open"
    return f"{'; '.join([*changed, rest])}."
