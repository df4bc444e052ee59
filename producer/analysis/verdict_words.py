"""The words of a verdict: a comparison in sentences. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from producer.analysis.stats import CONFIDENCE, LogRatio, pairs_needed

if TYPE_CHECKING:
    from producer.analysis.pairs import PairedValues

NO_DIFFERENCE = "no difference"
NO_VERDICT = "no verdict"

MIN_PAIRS, ADVISED_PAIRS, MAX_ADVISED_PAIRS = 3, 5, 100
"""Pairs that a verdict needs, that a race should have, and beyond which more are no advice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """
    The bar that a verdict must pass.

    Attributes:
        margin: Lanes that differ by less than this share are equal.
        comparisons: How many the race has.
    """

    margin: float
    comparisons: int

    @property
    def log_margin(self) -> float:
        """The margin as the logarithm of a ratio; the same in both directions."""
        return math.log1p(self.margin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A comparison with the ratio that its usable pairs give."""

    values: PairedValues
    estimate: LogRatio

    @property
    def testable(self) -> bool:
        """True if the lanes may be ranked at all."""
        return self.estimate.pairs >= MIN_PAIRS and not self.values.failing

    @property
    def left_out(self) -> int:
        """Pairs that do not count."""
        return len(self.values.values) - self.estimate.pairs


def reason(case: Case, word: str, p_adjusted: float, bar: Bar) -> str:
    """Return why it is this word, in a sentence."""
    values, estimate = case.values, case.estimate
    if values.failing:
        shares = " and ".join(f"{lane} failed {_percent(share)} of its jobs" for lane, share in values.failing.items())
        return f"{shares}: a lane that fails is not ranked"
    if estimate.pairs < MIN_PAIRS:
        return f"{_pairs(estimate.pairs)} to judge by, at least {MIN_PAIRS} are needed"
    if word == NO_DIFFERENCE:
        return f"{_ratio_sentence(case)}: the lanes differ by less than {_percent(bar.margin)}"
    if word != NO_VERDICT:
        return _winning_sentence(case, word)
    if abs(estimate.mean) <= bar.log_margin:
        return f"{_ratio_sentence(case)}: the lanes may differ by more than {_percent(bar.margin)}, or not"
    chance = f"p = {p_adjusted:.2g} after adjusting for {bar.comparisons} comparison{'s' * (bar.comparisons != 1)}"
    return f"{_ratio_sentence(case)}: equal lanes may show as much by chance, {chance}"


def _ratio_sentence(case: Case) -> str:
    """Return the ratio as it was measured, whichever lane is better."""
    low, high = case.estimate.interval
    ratio = f"{case.values.a} / {case.values.b} is {math.exp(case.estimate.mean):.2f}"
    return f"{ratio} {_certainty(low, high, case.estimate.pairs)}"


def _winning_sentence(case: Case, winner: str) -> str:
    """Return the ratio as the better lane's advantage, always above 1."""
    values, estimate = case.values, case.estimate
    loser = values.b if winner == values.a else values.a
    low, high = sorted(math.copysign(1, estimate.mean) * end for end in estimate.interval)
    times, certainty = f"{math.exp(abs(estimate.mean)):.2f} times", _certainty(low, high, estimate.pairs)
    if values.higher_is_better:
        return f"{winner} finishes {times} as many jobs as {loser} {certainty}"
    at = f"at {values.percentile} " if values.percentile else ""
    return f"{at}jobs take {times} as long on {loser} as on {winner} {certainty}"


def _certainty(low: float, high: float, pairs: int) -> str:
    """Return the interval, from its ends as logarithms, and the number of pairs."""
    return f"({CONFIDENCE * 100:.0f} % interval {math.exp(low):.2f} to {math.exp(high):.2f}, {_pairs(pairs)})"


def left_out_note(left_out: int) -> str:
    """Return what a reason adds when pairs do not count."""
    if not left_out:
        return ""
    return f"; {_pairs(left_out)} left out: a job failed, was lost or ran twice, or a value is missing"


def advice(case: Case, bar: Bar) -> str:
    """Return what would bring a verdict, in a sentence."""
    if case.values.failing:
        return "See what the jobs raised, make them pass on both lanes, and race again"
    if case.estimate.pairs < MIN_PAIRS:
        also = " and see why pairs were left out" if case.left_out else ""
        return f"Race at least {ADVISED_PAIRS} pairs{also}"
    needed = pairs_needed(case.estimate, bar.log_margin, bar.comparisons, MAX_ADVISED_PAIRS)
    noise = _percent(math.expm1(case.estimate.sd))
    if needed:
        return f"About {needed} pairs would likely settle it, fewer on a quieter machine: pairs vary by {noise} now"
    return (
        f"Even {MAX_ADVISED_PAIRS} pairs would hardly settle it, since pairs vary by {noise} and the margin is "
        f"{_percent(bar.margin)}: use a quieter machine or longer trials"
    )


def _pairs(number: int) -> str:
    """Return a number of pairs in words."""
    return "1 pair" if number == 1 else f"{number} pairs"


def _percent(share: float) -> str:
    """Return a share as a reader sees it: 5 %, 1.5 %."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"
