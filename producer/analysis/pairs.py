"""Pairs the trials of two lanes, round by round."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal, get_args

from producer.analysis.percentiles import choose_percentile
from producer.analysis.settle import Settlement
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.results import TrialResult


Measure = Literal["capacity", "latency"]
"""The measures: jobs per second, of which more is better, or seconds, of which fewer are."""

MAX_FAILED_SHARE = 0.01
"""A lane that fails more of its jobs than this is not ranked: failing is often faster than working."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedValues:
    """
    The values of two lanes in the same rounds.

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
    """Pair two lanes' trials of one kind and workload, round by round."""
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
    """Return the highest percentile that is firm in every trial that counts."""
    return choose_percentile([trial.sojourn.n for trial in trials if trial.sojourn and _all_done(trial)])


def _value(trial: TrialResult, percentile: str) -> float | None:
    """Return the number by which a trial is compared; None if it must not count."""
    if not _all_done(trial):
        return None
    if trial.kind is Kind.CAPACITY:
        return trial.capacity_per_s
    return trial.sojourn.statistic(percentile) if trial.sojourn else None


def _all_done(trial: TrialResult) -> bool:
    """Check whether every job was done, once."""
    return trial.settlement.done == trial.settlement.sent


def _failed_share(results: Sequence[TrialResult], workload: str, lane: str) -> float:
    """Return the share of the lane's jobs of this workload that failed, whatever was measured."""
    return Settlement.sum(
        result.settlement
        for result in results
        if (result.workload, result.lane) == (workload, lane) and result.kind is not Kind.WARM_UP
    ).failed_share
