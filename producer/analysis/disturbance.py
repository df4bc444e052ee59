"""
Disturbance: which trials do not count since something else than their lane was at work. Pure.

A round with such a trial is left out as a whole, and a race measures another in its place. Nothing here looks at what
is compared, so that leaving rounds out favours no lane.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from producer.analysis.latency import Latency
    from producer.analysis.results import TrialResult
    from producer.analysis.settle import Settlement
    from producer.rundir.trials import Trial

LAG_SHARE, LAG_FLOOR_S = 0.1, 0.005
"""A generator that is later than this part of the mean sojourn, on average, and than 5 ms, was late."""

OTHERS_CORES = 0.3
"""Other programs that used so many cores more than in the lane's other trials of the kind took them from the lane."""

CLOCK_JUMP_S = 0.005


def lateness(latency: Latency) -> str:
    """Return that the generator was late, if it was: by enough to be seen in what is compared; else an empty text."""
    lag, sojourn = latency.publish_lag, latency.sojourn
    if lag is None or sojourn is None or lag.mean <= max(LAG_FLOOR_S, LAG_SHARE * sojourn.mean):
        return ""
    return "the generator was late"


def losses(settlement: Settlement) -> str:
    """Return that jobs were lost or ran twice, if they did; else an empty text."""
    if settlement.missing:
        return "a job was lost"
    return "a job ran twice" if settlement.duplicated else ""


def clock_jump(trial: Trial) -> str:
    """Return that the clock of this machine was set while the trial ran, if it was; else an empty text."""
    return "the clock jumped" if abs(trial.clock_jump_s) > CLOCK_JUMP_S else ""


def crowded(trials: Iterable[Trial]) -> Mapping[int, str]:
    """Return the trials in which other programs took more of the cores than in most of their lane's, by number."""
    alike: dict[tuple[Kind, str, str], list[Trial]] = {}
    for trial in trials:
        if trial.others_cores is not None and trial.kind is not Kind.WARM_UP:
            alike.setdefault((trial.kind, trial.workload, trial.lane), []).append(trial)
    return {trial.trial: "others used the cores" for group in alike.values() for trial in _above(group)}


def _above(group: Sequence[Trial]) -> list[Trial]:
    usual = median(trial.others_cores or 0.0 for trial in group)
    return [trial for trial in group if (trial.others_cores or 0.0) > usual + OTHERS_CORES]


def with_crowds(results: Sequence[TrialResult], trials: Sequence[Trial]) -> list[TrialResult]:
    """Return the figures of trials, those marked in which others used the cores, which only all of them show."""
    found = crowded(trials)
    return [replace(each, disturbed=each.disturbed or found.get(each.trial, "")) for each in results]
