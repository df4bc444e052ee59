"""Pairs the trials of two lanes, round by round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from producer.analysis.settle import Settlement
from producer.rundir.trials import PAIRED, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from producer.analysis.results import TrialResult


Measure = Literal["capacity", "latency"]
"""The measures: jobs per second, of which more is better, or seconds, of which fewer are."""

MAX_FAILED_SHARE = 0.01
"""A lane that fails more of its jobs than this is not ranked: failing is often faster than working."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedValues:
    """
    The ratios of two lanes, round by round.

    Attributes:
        measure: What is compared: `capacity` in jobs per second, or `latency`, the sojourn times of the same jobs.
        workload: What the jobs did.
        a: Key of one lane.
        b: Key of the other.
        ratios: a's value over b's, in the order of the rounds; None where a value is missing or must not count.
        starts: Which start of the lanes' nodes each round ran on, from 1; empty for the first of all.
        failed_share_a: Share of a's jobs of this workload that failed, from 0 to 1.
        failed_share_b: The same for b.
    """

    measure: Measure
    workload: str
    a: str
    b: str
    ratios: Sequence[float | None]
    starts: Sequence[int] = ()
    failed_share_a: float = 0.0
    failed_share_b: float = 0.0

    def __post_init__(self) -> None:
        if self.measure not in get_args(Measure):
            raise ValueError(f"measure {self.measure!r}: must be one of {', '.join(get_args(Measure))}")
        if self.a == self.b:
            raise ValueError(f"lane {self.a!r} against itself: the two lanes must have keys of their own")

    @property
    def higher_is_better(self) -> bool:
        """True if the larger value wins."""
        return self.measure == "capacity"

    @property
    def failing(self) -> dict[str, float]:
        """The lanes that failed too many jobs to be ranked, and their share."""
        shares = {self.a: self.failed_share_a, self.b: self.failed_share_b}
        return {lane: share for lane, share in shares.items() if share > MAX_FAILED_SHARE}


def pair(results: Sequence[TrialResult]) -> list[PairedValues]:
    """
    Return the comparisons of a race: every two lanes, on each workload and measure that both ran.

    Latency is compared job by job: both lanes of a round are sent the same jobs at the same times, so the ratio of a
    round is the geometric mean over its jobs of one lane's sojourn time over the other's. A trial counts only if every
    job of it was done, and a round only if nothing disturbed it.
    """
    comparisons = []
    for kind, workload in dict.fromkeys((result.kind, result.workload) for result in results):
        if kind in PAIRED:
            trials = [result for result in results if (result.kind, result.workload) == (kind, workload)]
            lanes = dict.fromkeys(result.lane for result in trials)
            comparisons += [_paired(trials, results, a, b) for a, b in combinations(lanes, 2)]
    return comparisons


def _paired(trials: Sequence[TrialResult], results: Sequence[TrialResult], a: str, b: str) -> PairedValues:
    """Pair two lanes' trials of one kind and workload, round by round."""
    workload = trials[0].workload
    disturbed = {trial.round for trial in trials if trial.disturbed}
    found = {(trial.lane, trial.round): trial for trial in trials}
    rounds = sorted({trial.round for trial in trials} - disturbed)
    return PairedValues(
        measure="capacity" if trials[0].kind is Kind.CAPACITY else "latency",
        workload=workload,
        a=a,
        b=b,
        ratios=[_ratio(found.get((a, turn)), found.get((b, turn))) for turn in rounds],
        starts=[next(trial.start for trial in trials if trial.round == turn) for turn in rounds],
        failed_share_a=_failed_share(results, workload, a),
        failed_share_b=_failed_share(results, workload, b),
    )


def _ratio(a: TrialResult | None, b: TrialResult | None) -> float | None:
    """Return one trial's value over the other's; None if one must not count."""
    if a is None or b is None or not (_all_done(a) and _all_done(b)):
        return None
    if a.kind is Kind.CAPACITY:
        return a.capacity_per_s / b.capacity_per_s if a.capacity_per_s and b.capacity_per_s else None
    return ratio_of_jobs(a.sojourns_s, b.sojourns_s)


def ratio_of_jobs(a_s: NDArray[np.float64], b_s: NDArray[np.float64]) -> float | None:
    """
    Return the geometric mean over the jobs that both lanes did of a's time over b's.

    Args:
        a_s: Sojourn times of one lane by sequence number, in seconds; NaN where there is none.
        b_s: The same of the other.

    Returns:
        The ratio; None without a job of both, or with a time that is not above zero.
    """
    jobs = min(len(a_s), len(b_s))
    a, b = a_s[:jobs], b_s[:jobs]
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if not len(a) or min(a.min(), b.min()) <= 0:
        return None
    return math.exp(float(np.mean(np.log(a / b))))


def _all_done(trial: TrialResult) -> bool:
    """Check whether every job was done, once."""
    return trial.settlement.done == trial.settlement.sent


def _failed_share(results: Sequence[TrialResult], workload: str, lane: str) -> float:
    """Return the share of the lane's jobs of this workload that failed, in trials that are compared."""
    return Settlement.sum(
        result.settlement
        for result in results
        if (result.workload, result.lane) == (workload, lane) and result.kind in PAIRED
    ).failed_share
