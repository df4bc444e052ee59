"""
From paired trials to a verdict: which lane is better, that none is, or that the data do not say.

Two lanes run the same trial in the same round, so what disturbs the machine disturbs both; only their ratio counts.
The ratio is the geometric mean over pairs, its interval a 95 % t-interval on the logarithms.

- "no difference": the whole interval lies within the margin, from 1 / (1 + margin) to 1 + margin.
- A lane wins if the ratio lies beyond the margin and chance is ruled out: the p-value of the paired t-test, adjusted
  by Holm's method for all comparisons of the race, is below 0.05. So a race of equal lanes names a winner in fewer
  than one race of twenty, however many comparisons it has.
- "no verdict": anything else, with the reason and what to do about it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from producer.analysis.pairs import Measure
from producer.analysis.stats import SIGNIFICANCE, LogRatio, holm
from producer.analysis.verdict_words import NO_DIFFERENCE, NO_VERDICT, Bar, Case, advice, left_out_note, reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.pairs import PairedValues

MARGIN = 0.05
"""Lanes that differ by less are equal for any practical purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    The outcome of one comparison of a race.

    Attributes:
        measure: `capacity` or `latency`.
        workload: What the jobs did.
        a: Key of one lane.
        b: Key of the other.
        percentile: Which percentile of the sojourn times was compared; None for capacity.
        ratio: Geometric mean of a's value over b's; None without a pair.
        low: Lower end of the ratio's 95 % interval; None with fewer than two pairs.
        high: Its upper end.
        pairs: Pairs that count.
        left_out: Pairs that do not: a job failed, was lost or ran twice, or a value is missing.
        p_adjusted: Probability of such a ratio between equal lanes, adjusted for all comparisons of the race; None if
            not tested.
        word: Key of the better lane, "no difference" or "no verdict".
        reason: A sentence that says why.
        advice: A sentence that says what to do; None unless there is no verdict.
    """

    measure: Measure
    workload: str
    a: str
    b: str
    percentile: str | None
    ratio: float | None
    low: float | None
    high: float | None
    pairs: int
    left_out: int
    p_adjusted: float | None
    word: str
    reason: str
    advice: str | None

    @property
    def winner(self) -> str | None:
        """Key of the better lane; None if no lane was named."""
        return None if self.word in (NO_DIFFERENCE, NO_VERDICT) else self.word


def judge(comparisons: Sequence[PairedValues], margin: float = MARGIN) -> list[Verdict]:
    """
    Return the verdicts of a race, in the order of its comparisons.

    Args:
        comparisons: All comparisons of the race together, since each one more is one more chance to be fooled.
        margin: Lanes that differ by less than this share are equal, e.g. 0.05.
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin {margin!r}: must be above 0 and below 1, e.g. 0.05")
    cases = [Case(values=values, estimate=_estimate(values)) for values in comparisons]
    adjusted = holm([case.estimate.p_value if case.testable else 1.0 for case in cases])
    bar = Bar(margin=margin, comparisons=len(cases))
    return [_verdict(case, p_adjusted, bar) for case, p_adjusted in zip(cases, adjusted, strict=True)]


def _estimate(comparison: PairedValues) -> LogRatio:
    """Estimate a / b from the pairs in which both values are known and above zero."""
    logs = [math.log(a / b) for a, b in comparison.values if a and b and 0 < a < math.inf and 0 < b < math.inf]
    return LogRatio(
        pairs=len(logs),
        mean=float(np.mean(logs)) if logs else 0.0,
        sd=float(np.std(logs, ddof=1)) if len(logs) > 1 else 0.0,
    )


def _verdict(case: Case, p_adjusted: float, bar: Bar) -> Verdict:
    """Return word, reason and advice of one comparison."""
    values, estimate = case.values, case.estimate
    low, high = map(math.exp, estimate.interval) if estimate.pairs > 1 else (None, None)
    word = _word(case, p_adjusted, bar)
    return Verdict(
        measure=values.measure,
        workload=values.workload,
        a=values.a,
        b=values.b,
        percentile=values.percentile,
        ratio=math.exp(estimate.mean) if estimate.pairs else None,
        low=low,
        high=high,
        pairs=estimate.pairs,
        left_out=case.left_out,
        p_adjusted=p_adjusted if case.testable else None,
        word=word,
        reason=reason(case, word, p_adjusted, bar) + left_out_note(case.left_out),
        advice=advice(case, bar) if word == NO_VERDICT else None,
    )


def _word(case: Case, p_adjusted: float, bar: Bar) -> str:
    """Apply the rules at the top of this module."""
    if not case.testable:
        return NO_VERDICT
    low, high = case.estimate.interval
    if -bar.log_margin <= low and high <= bar.log_margin:
        return NO_DIFFERENCE
    if abs(case.estimate.mean) > bar.log_margin and p_adjusted < SIGNIFICANCE:
        return case.values.a if (case.estimate.mean > 0) == case.values.higher_is_better else case.values.b
    return NO_VERDICT
