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
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy.special import stdtr, stdtrit

from producer.analyse import TrialResult, choose_percentile
from producer.settle import Settlement
from producer.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

Measure = Literal["capacity", "latency"]
"""What is compared: jobs per second, of which more is better, or seconds, of which fewer are."""

NO_DIFFERENCE = "no difference"
NO_VERDICT = "no verdict"

MARGIN = 0.05
"""Lanes that differ by less are equal for any practical purpose."""

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05

POWER = 0.8
"""How likely the advised number of pairs should settle the question, if lanes and noise are as they were."""

MIN_PAIRS = 3
ADVISED_PAIRS = 5
MAX_ADVISED_PAIRS = 100

MAX_FAILED_SHARE = 0.01
"""A lane that fails more of its jobs than this is not ranked: failing is often faster than working."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedValues:
    """
    What two lanes measured in the same rounds.

    Attributes:
        measure: What the values are: `capacity` in jobs per second or `latency` in seconds.
        workload: What the jobs did.
        a: Key of one lane.
        b: Key of the other.
        values: One pair a round, a's value first; None where a trial's value is missing or must not count.
        failed_share_a: Share of a's jobs of this workload that failed, from 0 to 1.
        failed_share_b: The same for b.
        percentile: Which percentile of the sojourn times a latency is, e.g. `p99`; None if it is none.
    """

    measure: Measure
    workload: str
    a: str
    b: str
    values: Sequence[tuple[float | None, float | None]]
    failed_share_a: float = 0.0
    failed_share_b: float = 0.0
    percentile: str | None = None

    def __post_init__(self) -> None:
        if self.measure not in get_args(Measure):
            raise ValueError(f"measure {self.measure!r}: must be one of {', '.join(get_args(Measure))}")
        if self.a == self.b:
            raise ValueError(f"lane {self.a!r} against itself: the two lanes must have keys of their own")

    @property
    def higher_is_better(self) -> bool:
        """Whether the larger value wins."""
        return self.measure == "capacity"

    @property
    def failing(self) -> dict[str, float]:
        """The lanes that failed too many jobs to be ranked, and their share."""
        shares = {self.a: self.failed_share_a, self.b: self.failed_share_b}
        return {lane: share for lane, share in shares.items() if share > MAX_FAILED_SHARE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What one comparison of a race came to.

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

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Estimate:
    """
    What the usable pairs say of the logarithm of a / b.

    Attributes:
        pairs: How many there are.
        mean: Mean of the logarithms; 0 without a pair.
        sd: Their standard deviation; 0 with fewer than two pairs.
    """

    pairs: int
    mean: float
    sd: float

    @property
    def standard_error(self) -> float:
        """How far the mean is likely to be off."""
        return self.sd / math.sqrt(self.pairs)

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % t-interval; needs two pairs. A point if all pairs agree."""
        half_width = float(stdtrit(self.pairs - 1, (1 + CONFIDENCE) / 2)) * self.standard_error
        return self.mean - half_width, self.mean + half_width

    @property
    def p_value(self) -> float:
        """Of the two-sided t-test that the lanes are equal; needs two pairs."""
        if self.standard_error == 0:
            return 0.0 if self.mean else 1.0
        return 2 * float(stdtr(self.pairs - 1, -abs(self.mean) / self.standard_error))


def judge(comparisons: Sequence[PairedValues], margin: float = MARGIN) -> list[Verdict]:
    """
    The verdicts of a race, in the order of its comparisons.

    Args:
        comparisons: All comparisons of the race together, since each one more is one more chance to be fooled.
        margin: Lanes that differ by less than this share are equal, e.g. 0.05.
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin {margin!r}: must be above 0 and below 1, e.g. 0.05")
    cases = [_Case(values=values, estimate=_estimate(values)) for values in comparisons]
    adjusted = holm([case.estimate.p_value if case.testable else 1.0 for case in cases])
    bar = _Bar(margin=margin, comparisons=len(cases))
    return [_verdict(case, p_adjusted, bar) for case, p_adjusted in zip(cases, adjusted, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """
    P-values adjusted for their number by Holm's method, in the order given.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none may end below one before it, or above 1.
    """
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = floor
    return adjusted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    """
    What a verdict must pass.

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
class _Case:
    """A comparison with what its usable pairs say."""

    values: PairedValues
    estimate: _Estimate

    @property
    def testable(self) -> bool:
        """Whether the lanes may be ranked at all."""
        return self.estimate.pairs >= MIN_PAIRS and not self.values.failing

    @property
    def left_out(self) -> int:
        """Pairs that do not count."""
        return len(self.values.values) - self.estimate.pairs


def _estimate(comparison: PairedValues) -> _Estimate:
    """Logarithms of a / b over the pairs in which both values are known and above zero."""
    logs = [math.log(a / b) for a, b in comparison.values if a and b and 0 < a < math.inf and 0 < b < math.inf]
    return _Estimate(
        pairs=len(logs),
        mean=float(np.mean(logs)) if logs else 0.0,
        sd=float(np.std(logs, ddof=1)) if len(logs) > 1 else 0.0,
    )


def _verdict(case: _Case, p_adjusted: float, bar: _Bar) -> Verdict:
    """Word, reason and advice of one comparison."""
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
        reason=_reason(case, word, p_adjusted, bar) + _left_out_note(case.left_out),
        advice=_advice(case, bar) if word == NO_VERDICT else None,
    )


def _word(case: _Case, p_adjusted: float, bar: _Bar) -> str:
    """The rules at the top of this module."""
    if not case.testable:
        return NO_VERDICT
    low, high = case.estimate.interval
    if -bar.log_margin <= low and high <= bar.log_margin:
        return NO_DIFFERENCE
    if abs(case.estimate.mean) > bar.log_margin and p_adjusted < SIGNIFICANCE:
        return case.values.a if (case.estimate.mean > 0) == case.values.higher_is_better else case.values.b
    return NO_VERDICT


def _reason(case: _Case, word: str, p_adjusted: float, bar: _Bar) -> str:
    """Why it is this word, in a sentence."""
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


def _ratio_sentence(case: _Case) -> str:
    """The ratio as it was measured, whichever lane is better."""
    low, high = case.estimate.interval
    ratio = f"{case.values.a} / {case.values.b} is {math.exp(case.estimate.mean):.2f}"
    return f"{ratio} {_certainty(low, high, case.estimate.pairs)}"


def _winning_sentence(case: _Case, winner: str) -> str:
    """The ratio as the better lane's advantage, always above 1."""
    values, estimate = case.values, case.estimate
    loser = values.b if winner == values.a else values.a
    low, high = sorted(math.copysign(1, estimate.mean) * end for end in estimate.interval)
    times, certainty = f"{math.exp(abs(estimate.mean)):.2f} times", _certainty(low, high, estimate.pairs)
    if values.higher_is_better:
        return f"{winner} finishes {times} as many jobs as {loser} {certainty}"
    at = f"at {values.percentile.replace('_', '.')} " if values.percentile else ""
    return f"{at}jobs take {times} as long on {loser} as on {winner} {certainty}"


def _certainty(low: float, high: float, pairs: int) -> str:
    """Interval, from its ends as logarithms, and number of pairs."""
    return f"({CONFIDENCE * 100:.0f} % interval {math.exp(low):.2f} to {math.exp(high):.2f}, {_pairs(pairs)})"


def _left_out_note(left_out: int) -> str:
    """What a reason adds when pairs do not count."""
    if not left_out:
        return ""
    return f"; {_pairs(left_out)} left out: a job failed, was lost or ran twice, or a value is missing"


def _advice(case: _Case, bar: _Bar) -> str:
    """What would bring a verdict, in a sentence."""
    if case.values.failing:
        return "See what the jobs raised, make them pass on both lanes, and race again"
    if case.estimate.pairs < MIN_PAIRS:
        also = " and see why pairs were left out" if case.left_out else ""
        return f"Race at least {ADVISED_PAIRS} pairs{also}"
    needed, noise = _pairs_needed(case.estimate, bar), _percent(math.expm1(case.estimate.sd))
    if needed:
        return f"About {needed} pairs would likely settle it, fewer on a quieter machine: pairs vary by {noise} now"
    return (
        f"Even {MAX_ADVISED_PAIRS} pairs would hardly settle it, since pairs vary by {noise} and the margin is "
        f"{_percent(bar.margin)}: use a quieter machine or longer trials"
    )


def _pairs_needed(estimate: _Estimate, bar: _Bar) -> int | None:
    """
    The smallest number of pairs that settles the question in four races of five; None if more than 100.

    Takes the observed mean and standard deviation for the true ones. Beyond the margin a lane should win even if this
    is the comparison that Holm's method treats worst; within it the interval should fit into the margin.
    """
    pairs = np.arange(estimate.pairs + 1, MAX_ADVISED_PAIRS + 1)
    standard_error = estimate.sd / np.sqrt(pairs)
    luck = stdtrit(pairs - 1, POWER) * standard_error
    distance = abs(estimate.mean) - bar.log_margin
    if distance > 0:
        doubt = stdtrit(pairs - 1, 1 - SIGNIFICANCE / bar.comparisons / 2) * standard_error
        enough = (doubt + luck <= abs(estimate.mean)) & (luck <= distance)
    else:
        enough = stdtrit(pairs - 1, (1 + CONFIDENCE) / 2) * standard_error + luck <= -distance
    return int(pairs[enough.argmax()]) if enough.any() else None


def _pairs(number: int) -> str:
    """A number of pairs in words."""
    return "1 pair" if number == 1 else f"{number} pairs"


def _percent(share: float) -> str:
    """A share as a reader sees it: 5 %, 1.5 %."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def pair(results: Sequence[TrialResult]) -> list[PairedValues]:
    """
    The comparisons of a race: every two lanes, on each workload and measure that both ran.

    Latency is compared at the highest percentile that is firm in every trial of the comparison. A trial counts only if
    every job of it was done.
    """
    comparisons = []
    for kind, workload in dict.fromkeys((result.kind, result.workload) for result in results):
        if kind in {Kind.CAPACITY, Kind.LATENCY}:
            trials = [result for result in results if (result.kind, result.workload) == (kind, workload)]
            lanes = dict.fromkeys(result.lane for result in trials)
            comparisons += [_paired(trials, results, a, b) for a, b in combinations(lanes, 2)]
    return comparisons


def _paired(trials: Sequence[TrialResult], results: Sequence[TrialResult], a: str, b: str) -> PairedValues:
    """Two lanes' trials of one kind and workload, round by round."""
    measure: Measure = "capacity" if trials[0].kind is Kind.CAPACITY else "latency"
    workload = trials[0].workload
    percentile = _shared_percentile([trial for trial in trials if trial.lane in (a, b)])
    values = {(trial.lane, trial.round): _value(trial, percentile) for trial in trials}
    return PairedValues(
        measure=measure,
        workload=workload,
        a=a,
        b=b,
        values=[(values.get((a, turn)), values.get((b, turn))) for turn in sorted({trial.round for trial in trials})],
        failed_share_a=_failed_share(results, workload, a),
        failed_share_b=_failed_share(results, workload, b),
        percentile=percentile if measure == "latency" else None,
    )


def _shared_percentile(trials: Sequence[TrialResult]) -> str:
    """The highest percentile that is firm in every trial that counts."""
    return choose_percentile([trial.sojourn.n for trial in trials if trial.sojourn and _flawless(trial)])


def _value(trial: TrialResult, percentile: str) -> float | None:
    """The number by which a trial is compared; None if it must not count."""
    if not _flawless(trial):
        return None
    if trial.kind is Kind.CAPACITY:
        return trial.capacity_per_s
    return getattr(trial.sojourn, percentile, None)


def _flawless(trial: TrialResult) -> bool:
    """Whether every job was done, once."""
    return trial.settlement.done == trial.settlement.sent


def _failed_share(results: Sequence[TrialResult], workload: str, lane: str) -> float:
    """Share of the lane's jobs of this workload that failed, whatever was measured."""
    return Settlement.sum(
        result.settlement
        for result in results
        if (result.workload, result.lane) == (workload, lane) and result.kind is not Kind.WARM_UP
    ).failed_share
