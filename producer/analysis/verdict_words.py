"""The words of a verdict: a comparison in sentences. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from producer.analysis.sequential import LEAST_PAIRS
from producer.analysis.stats import LogRatio

if TYPE_CHECKING:
    from producer.analysis.pairs import PairedValues

NO_DIFFERENCE = "no difference"
OPEN = "open"


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
        return self.estimate.pairs >= LEAST_PAIRS and not self.values.failing

    @property
    def left_out(self) -> int:
        """Pairs that do not count."""
        return len(self.values.ratios) - self.estimate.pairs


def reason(case: Case, word: str, ends: tuple[float, float] | None, bar: Bar) -> str:
    """
    Return why it is this word, as a clause without capital or full stop.

    Args:
        case: The comparison.
        word: Key of the better lane, or one of the words above.
        ends: The ends of the interval, as logarithms; None with too few pairs.
        bar: The bar that the verdict had to pass.
    """
    values = case.values
    if values.failing:
        shares = " and ".join(f"{lane} failed {percent(share)} of its jobs" for lane, share in values.failing.items())
        return f"{shares}: a lane that fails is not ranked"
    if ends is None:
        return f"{pairs_text(case.estimate.pairs)} to judge by, at least {LEAST_PAIRS} are needed"
    if word == NO_DIFFERENCE:
        return f"the lanes differ by at most {percent(math.expm1(max(-ends[0], ends[1])))}, {_after(case)}"
    if word == OPEN:
        return f"{_open_range(case, ends)}, {_after(case)}; the margin is {percent(bar.margin)}"
    return f"{range_text(case, word, ends)}, {_after(case)}"


def range_text(case: Case, better: str, ends: tuple[float, float]) -> str:
    """Return the range of the better lane's advantage, e.g. "prefork does 1.3 to 2.6 times as many as threads"."""
    values = case.values
    worse = values.b if better == values.a else values.a
    upright = (better == values.a) == values.higher_is_better
    low, high = (math.exp(end) for end in (ends if upright else (-ends[1], -ends[0])))
    times = f"{times_text(low)} to {times_text(high)} times"
    if values.higher_is_better:
        return f"{better} does {times} as many as {worse}"
    return f"jobs take {times} as long on {worse} as on {better}"


def _open_range(case: Case, ends: tuple[float, float]) -> str:
    low, high = (times_text(math.exp(end)) for end in ends)
    if case.values.higher_is_better:
        return f"{case.values.a} does {low} to {high} times as many as {case.values.b}"
    return f"jobs take {low} to {high} times as long on {case.values.a} as on {case.values.b}"


def _after(case: Case) -> str:
    return f"by {pairs_text(case.estimate.pairs)}"


def left_out_note(left_out: int) -> str:
    """Return what a reason adds when pairs do not count."""
    if not left_out:
        return ""
    return f"; {pairs_text(left_out)} left out: a job failed, was lost or ran twice, or a value is missing"


def advice(case: Case) -> str:
    """Return what would let the lanes be judged, in a sentence."""
    if case.values.failing:
        return "See what the jobs raised, make them pass on both lanes, and race again"
    return "Give the race more time" + (", and see why pairs were left out" if case.left_out else "")


def times_text(ratio: float) -> str:
    """Return a ratio as a reader sees it: two digits behind the point near 1, three figures elsewhere."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.3g}"


def pairs_text(number: int) -> str:
    """Return a number of pairs in words."""
    return "1 pair" if number == 1 else f"{number} pairs"


def percent(share: float) -> str:
    """Return a share as a reader sees it: 5 %, 1.5 %; whole numbers from 10 on."""
    value = 100 * share
    return (f"{value:.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")) + " %"
