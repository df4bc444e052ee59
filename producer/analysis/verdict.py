"""
From paired trials to a verdict: which lane is better, that neither is, or that it is open; and how sure that is.

Two lanes run the same trial in the same round, so what disturbs the machine disturbs both; only their ratio counts. The
ratio is the geometric mean over rounds. A race is looked at after every round and stops when it is decided, so tests
and intervals are those of `producer.analysis.sequential`, which hold at whatever look it stops.

- A lane is *settled* to be better if the ratio lies beyond the margin and its interval excludes 1. The interval's level
  is split over the comparisons of the race by Holm's method: of 100 races of equal lanes at most one settles a winner,
  however long they go on (docs/truth.md).
- *No difference* is settled if the whole 90 % interval lies within the margin, from 1 / (1 + margin) to 1 + margin:
  two one-sided tests, each at 5 % (Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987) 657-680).
- It is *likely* that a lane is better by more than the margin, or that neither is, if the probability of that, by the
  pairs alone, is at least 90 %.
- All else is *open*.

The interval of a verdict is the one that its word rests on: that of the settled winner or of the settled no difference,
or else the 95 % interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from producer.analysis.pairs import Measure
from producer.analysis.sequential import LEAST_PAIRS, interval, level_reached
from producer.analysis.stats import LogRatio, holm
from producer.analysis.verdict_words import NO_DIFFERENCE, OPEN, Bar, Case, advice, left_out_note, reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.pairs import PairedValues

MARGIN = 0.05
"""Lanes that differ by less are equal for any practical purpose."""

WRONG_WINNERS = 0.01
"""The part of races of equal lanes that may name a winner, over all comparisons and looks together."""

OUTSIDE_INTERVAL = 0.05
"""How often the truth is outside of an interval, at any look."""

WRONG_ALIKE = 0.05
"""How often lanes that differ by as much as the margin are settled to show no difference, at any look."""

OUTSIDE_ALIKE = 2 * WRONG_ALIKE
"""How often the truth is outside of the interval of no difference: on either side as often as that is wrong."""

LIKELY = 0.9
"""The probability from which something is called likely."""

Sureness = Literal["settled", "likely", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    The outcome of one comparison of a race.

    Attributes:
        measure: `capacity` or `latency`.
        workload: What the jobs did.
        a: Key of one lane.
        b: Key of the other.
        ratio: Geometric mean of a's value over b's; None without a pair.
        low: Lower end of the ratio's interval, the one that the word rests on; None with fewer than three pairs.
        high: Its upper end.
        confidence: Of this interval, e.g. 0.95: over all looks, 0.9 for a settled no difference, and for a settled
            winner over its share of all comparisons of the race; None without one.
        pairs: Pairs that count.
        left_out: Pairs that do not: a job failed, was lost or ran twice, or a value is missing.
        p_adjusted: How often equal lanes would show such a ratio at some look, adjusted for all comparisons of the
            race; None if not tested.
        word: Key of the better lane, "no difference" or "open".
        sure: How sure the word is: settled, likely or open.
        probability: Of the word, by the pairs alone, if it is likely; None otherwise.
        reason: A sentence that says why.
        advice: What to do about pairs that cannot be judged; None if they can.
    """

    measure: Measure
    workload: str
    a: str
    b: str
    ratio: float | None
    low: float | None
    high: float | None
    confidence: float | None
    pairs: int
    left_out: int
    p_adjusted: float | None
    word: str
    sure: Sureness
    probability: float | None
    reason: str
    advice: str | None

    @property
    def winner(self) -> str | None:
        """Key of the lane that is settled to be better; None if none is."""
        return None if self.word in (NO_DIFFERENCE, OPEN) or self.sure != "settled" else self.word

    @property
    def settled(self) -> bool:
        """True if more pairs would not change the word."""
        return self.sure == "settled"


def judge(comparisons: Sequence[PairedValues], margin: float = MARGIN) -> list[Verdict]:
    """
    Return the verdicts of a race, in the order of its comparisons.

    Args:
        comparisons: All comparisons of the race together, since each one more is one more chance to be fooled.
        margin: Lanes that differ by less than this share are equal, e.g. 0.05.
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin {margin!r}: must be above 0 and below 1, e.g. 0.05")
    cases = [Case(values=values, estimate=estimate(values)) for values in comparisons]
    levels = [_level(case) for case in cases]
    adjusted = holm(levels)
    bar = Bar(margin=margin, comparisons=len(cases))
    return [
        _settled_winner(case, p, bar, _share(levels, level)) if _wins(case, p, bar) else _other(case, p, bar)
        for case, level, p in zip(cases, levels, adjusted, strict=True)
    ]


def _level(case: Case) -> float:
    """Return how often equal lanes would show such a ratio at some look; 1 if the lanes may not be ranked."""
    return level_reached(case.estimate.p_value, case.estimate.pairs) if case.testable else 1.0


def estimate(comparison: PairedValues) -> LogRatio:
    """Return a / b, estimated from the pairs whose ratio is known and above zero."""
    logs = [math.log(ratio) for ratio in comparison.ratios if ratio and 0 < ratio < math.inf]
    return LogRatio(
        pairs=len(logs),
        mean=float(np.mean(logs)) if logs else 0.0,
        sd=float(np.std(logs, ddof=1)) if len(logs) > 1 else 0.0,
    )


def _wins(case: Case, p_adjusted: float, bar: Bar) -> bool:
    return case.testable and abs(case.estimate.mean) > bar.log_margin and p_adjusted < WRONG_WINNERS


def _share(levels: Sequence[float], level: float) -> float:
    """Return the share that Holm's method gives a comparison: those that differ more clearly need none any more."""
    return 1 / (len(levels) - sum(each < level for each in levels))


def _settled_winner(case: Case, p_adjusted: float, bar: Bar, share: float) -> Verdict:
    level = WRONG_WINNERS * share
    better = case.values.a if (case.estimate.mean > 0) == case.values.higher_is_better else case.values.b
    return _verdict(case, level, p_adjusted, bar, word=better, sure="settled")


def _other(case: Case, p_adjusted: float, bar: Bar) -> Verdict:
    """Return the verdict of a comparison that has no settled winner."""
    found = _verdict(case, OUTSIDE_INTERVAL, p_adjusted, bar, word=OPEN, sure="open")
    if not case.testable:
        return replace(found, p_adjusted=None, advice=advice(case))
    low, high = interval(case.estimate, OUTSIDE_ALIKE)
    if -bar.log_margin <= low and high <= bar.log_margin:
        return _verdict(case, OUTSIDE_ALIKE, p_adjusted, bar, word=NO_DIFFERENCE, sure="settled")
    word, probability = _likeliest(case, bar)
    if probability < LIKELY:
        return found
    likely = _verdict(case, OUTSIDE_INTERVAL, p_adjusted, bar, word=word, sure="likely")
    return replace(likely, probability=probability)


def _likeliest(case: Case, bar: Bar) -> tuple[str, float]:
    """Return the most probable of three: that a is better by more than the margin, that b is, that neither is."""
    ratio, values = case.estimate, case.values
    above, below = ratio.probability_above(bar.log_margin), 1 - ratio.probability_above(-bar.log_margin)
    higher, lower = (values.a, values.b) if values.higher_is_better else (values.b, values.a)
    found = {higher: above, lower: below, NO_DIFFERENCE: 1 - above - below}
    return max(found.items(), key=lambda each: each[1])


def _verdict(case: Case, level: float, p_adjusted: float, bar: Bar, *, word: str, sure: Sureness) -> Verdict:
    values, estimate = case.values, case.estimate
    known = estimate.pairs >= LEAST_PAIRS
    ends = interval(estimate, level) if known else None
    low, high = map(math.exp, ends) if ends else (None, None)
    return Verdict(
        measure=values.measure,
        workload=values.workload,
        a=values.a,
        b=values.b,
        ratio=math.exp(estimate.mean) if estimate.pairs else None,
        low=low,
        high=high,
        confidence=1 - level if known else None,
        pairs=estimate.pairs,
        left_out=case.left_out,
        p_adjusted=p_adjusted,
        word=word,
        sure=sure,
        probability=None,
        reason=reason(case, word, ends, bar) + left_out_note(case.left_out),
        advice=None,
    )
