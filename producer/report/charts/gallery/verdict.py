"""The verdict: the ratio of two lanes with its interval, and the band within which they are equal."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from producer.report.charts.labels import escaped
from producer.report.charts.picture import Drawn, picture
from producer.report.charts.ratios import Ratio, ratios
from producer.report.charts.swept import lane_of
from producer.report.formats import number
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.report.plain import PlainSummary as Summary
    from producer.rundir.run import Run

MOST_NAMED = 6
"""Comparisons in a sentence; of more it says how they came out."""


@picture(
    key="verdict",
    title="Verdict: lane against lane",
    missing="No two lanes could be compared: that takes a race or a sweep of two lanes, and 2 pairs or more.",
    order=10,
)
def verdict(summary: Summary, _run: Run) -> Drawn | None:
    """Draw ratio and interval of every comparison on one axis."""
    judged = [each for workload in summary["workloads"] for each in workload["verdicts"]]
    known = [each for each in judged if each["ratio"] is not None and each["low"] is not None]
    if not known:
        return None
    margin = summary["settings"]["margin"]
    pair = _pair_of_all(known, summary)
    rows = [
        Ratio(
            label=_label(each, pair),
            measure=each["measure"],
            ratio=each["ratio"],
            low=each["low"],
            high=each["high"],
        )
        for each in known
    ]
    return Drawn(
        shows=_shows(known),
        reads=(
            "A dot is the first lane's figure divided by the second's, the line its 95 % interval; within the grey "
            f"band, {number(1 / (1 + margin))} to {number(1 + margin)}, the difference does not matter, and an "
            "interval that crosses the band's edge leaves it open."
        ),
        figure=ratios(rows, margin, pair or "ratio"),
        table=_table(judged),
    )


def _shows(known: Sequence[Mapping[str, Any]]) -> str:
    if len(known) <= MOST_NAMED:
        return f"{'; '.join(map(_outcome, known))}."
    words = Counter(each["word"] for each in known)
    furthest = max(known, key=lambda each: abs(math.log(each["ratio"])))
    counts = ", ".join(f"{count} {word}" for word, count in words.most_common())
    return f"{len(known)} comparisons: {counts}. The furthest from 1 is {_outcome(furthest)}."


def _outcome(each: Mapping[str, Any]) -> str:
    low, high = number(each["low"]), number(each["high"])
    return f"{_subject(each)}: {each['word']}, {number(each['ratio'])} ({low} to {high})"


def _subject(each: Mapping[str, Any]) -> str:
    """Name what is compared."""
    return f"{each['workload']}, {_measure(each)}, {each['a']} / {each['b']}"


def _measure(each: Mapping[str, Any]) -> str:
    return f"{each['measure']} {each['percentile'].replace('_', '.')}" if each["percentile"] else str(each["measure"])


def _pair_of_all(known: Sequence[Mapping[str, Any]], summary: Summary) -> str:
    """Name the two lanes if all comparisons are of the same; otherwise return an empty text."""
    pairs = {f"{lane_of(summary, each['a'])} / {lane_of(summary, each['b'])}" for each in known}
    return pairs.pop() if len(pairs) == 1 else ""


def _label(each: Mapping[str, Any], pair: str) -> str:
    """Label a row in two lines: a phone has no room for one."""
    lanes = "" if pair else f", {each['a']} / {each['b']}"
    return f"{escaped(each['workload'])}<br>{escaped(_measure(each) + lanes)}"


def _table(judged: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            _subject(each),
            number(each["ratio"]),
            number(each["low"]),
            number(each["high"]),
            str(each["pairs"]),
            each["word"],
        ]
        for each in judged
    ]
    return Table(title="Ratios", columns=["comparison", "ratio", "low", "high", "pairs", "verdict"], rows=rows)
