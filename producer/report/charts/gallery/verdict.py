"""The verdict: the ratio of two lanes, the interval that its word rests on, and the band in which they are equal."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from producer.analysis.sureness import told
from producer.report.charts.labels import escaped
from producer.report.charts.picture import Drawn, picture
from producer.report.charts.ratios import STROKES, Ratio, ratios
from producer.report.charts.swept import lane_of
from producer.report.formats import number
from producer.report.intervals import confidence_note, confidence_text
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.summary import Summary
    from producer.analysis.verdict import Verdict
    from producer.rundir.run import Run

MOST_NAMED = 6
"""Comparisons in a sentence; of more it says how they came out."""


@picture(
    key="verdict",
    title="Verdict: lane against lane",
    missing="No two lanes could be compared: that takes a race or a sweep of two lanes, and 3 pairs or more.",
    order=10,
)
def verdict(summary: Summary, _run: Run) -> Drawn | None:
    """Draw ratio and interval of every comparison on one axis."""
    judged = [each for workload in summary.workloads for each in workload.verdicts]
    known = [each for each in judged if each.low is not None]
    race = summary.settings.race
    if not known or race is None:
        return None
    margin, pair = race.margin, _pair_of_all(known, summary)
    rows = [
        Ratio(
            label=_label(each, pair),
            measure=each.measure,
            ratio=each.ratio,
            low=each.low,
            high=each.high,
            sure=each.sure,
        )
        for each in known
        if each.ratio is not None and each.low is not None and each.high is not None
    ]
    return Drawn(
        shows=_shows(known),
        reads=(
            "A mark is the first lane's figure divided by the second's, the line the interval that the verdict rests "
            f"on. {confidence_note(known)} A full mark on a thick line is settled, a hollow one likely, a hollow one "
            f"on a dotted line open. Within the grey band, {number(1 / (1 + margin))} to {number(1 + margin)}, the "
            "difference does not matter: a settled winner's line keeps clear of 1, and that of a settled no difference "
            "lies within the band."
        ),
        figure=ratios(rows, margin, pair or "ratio"),
        table=_table(judged),
    )


def _shows(known: Sequence[Verdict]) -> str:
    if len(known) <= MOST_NAMED:
        return f"{'; '.join(map(_outcome, known))}."
    words = Counter(str(each.sure) for each in known)
    furthest = max(known, key=lambda each: abs(math.log(each.ratio or 1.0)))
    counts = ", ".join(f"{words[sure]} {sure}" for sure in STROKES if words[sure])
    return f"{len(known)} comparisons: {counts}. The furthest from 1 is {_outcome(furthest)}."


def _outcome(each: Verdict) -> str:
    low, high = number(each.low), number(each.high)
    return f"{_subject(each)}: {told(each)}, {number(each.ratio)} ({low} to {high})"


def _subject(each: Verdict) -> str:
    """Name what is compared."""
    return f"{each.workload}, {each.measure}, {each.a} / {each.b}"


def _pair_of_all(known: Sequence[Verdict], summary: Summary) -> str:
    """Name the two lanes if all comparisons are of the same; otherwise return an empty text."""
    pairs = {f"{lane_of(summary, each.a)} / {lane_of(summary, each.b)}" for each in known}
    return pairs.pop() if len(pairs) == 1 else ""


def _label(each: Verdict, pair: str) -> str:
    """Label a row in two lines: a phone has no room for one."""
    lanes = "" if pair else f", {each.a} / {each.b}"
    return f"{escaped(each.workload)}<br>{escaped(each.measure + lanes)}"


def _table(judged: Sequence[Verdict]) -> Table:
    rows = [
        [
            _subject(each),
            number(each.ratio),
            number(each.low),
            number(each.high),
            confidence_text(each.confidence),
            str(each.pairs),
            told(each),
        ]
        for each in judged
    ]
    columns = ["comparison", "ratio", "low", "high", "confidence", "pairs", "verdict"]
    return Table(title="Ratios", columns=columns, rows=rows, words=["verdict"])
