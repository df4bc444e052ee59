"""Since when a load broke a threshold. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from producer.analysis.percentiles import percentiles
from producer.plan.stages import STAGES
from producer.plan.thresholds import COUNTS, MEMORY, OPERATORS, STATISTICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from producer.plan.thresholds import Threshold
    from producer.rundir.trials import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedJobs:
    """
    The records of the jobs that count.

    Attributes:
        trial: Of which.
        sent: One row a job, with `offset_s`, when it was due from the trial's start, and `fate`.
        done: One row a job that succeeded, with `offset_s`.
        samples: Of all nodes.
        begin_s: When the first phase that counts begins, in seconds from the trial's start.
    """

    trial: Trial
    sent: pl.DataFrame
    done: pl.DataFrame
    samples: pl.DataFrame
    begin_s: float = 0.0


def first_breach_s(threshold: Threshold, limit: float, seen: CountedJobs) -> float | None:
    """
    Since when a threshold was broken, in seconds from the trial's start.

    Times: the first second whose jobs, those that were due in it, would have broken it by themselves. Counts: when the
    job was due with which it broke. Rates: since when it was below without a break. Memory: the first sample.

    Args:
        threshold: One that was not kept.
        limit: What it was held against.
        seen: The jobs that count.

    Returns:
        None if there is no such moment: all of it together broke it, or it is of a kind that cannot say.
    """
    if threshold.name in STATISTICS:
        return _first_second(threshold, seen)
    if threshold.name in COUNTS:
        return _first_job(threshold, limit, seen)
    if threshold.name == MEMORY:
        return _first_sample(threshold, limit, seen)
    return _last_kept(threshold, limit, seen)


def _first_second(threshold: Threshold, seen: CountedJobs) -> float | None:
    stage = STAGES[threshold.of]
    jobs = seen.sent if stage.of_all_sent else seen.done
    took_s = stage.durations_s(jobs)
    second = np.floor(jobs["offset_s"].to_numpy())
    for at_s in np.unique(second):
        value = _statistic(took_s[second == at_s], threshold.name)
        if value is not None and not OPERATORS[threshold.operator](value, threshold.limit):
            return float(at_s)
    return None


def _statistic(values: NDArray[np.float64], name: str) -> float | None:
    found = percentiles(values)
    return None if found is None else found.statistic(name)


def _first_job(threshold: Threshold, limit: float, seen: CountedJobs) -> float | None:
    if OPERATORS[threshold.operator](float("inf"), limit):
        return None  # too few of something began at the start
    offsets_s = seen.sent.filter(pl.col("fate").cast(pl.String) == threshold.name)["offset_s"].sort().to_numpy()
    for number, at_s in enumerate(offsets_s, start=1):
        broken = number > limit if threshold.operator == "==" else not OPERATORS[threshold.operator](number, limit)
        if broken:
            return float(at_s)
    return None


def _first_sample(threshold: Threshold, limit: float, seen: CountedJobs) -> float | None:
    trial = seen.trial
    during = seen.samples.filter(
        pl.col("at").is_between(trial.began_at, trial.ended_at),
        pl.col("lane") == trial.lane,
        pl.col("pss_bytes").is_not_null(),
    ).sort("at")
    known: dict[str, float] = {}
    for node, at, pss_bytes in during.select("node", "at", "pss_bytes").iter_rows():
        known[node] = pss_bytes
        if not OPERATORS[threshold.operator](sum(known.values()) / trial.slots, limit):
            return float(at - trial.began_at)
    return None


def _last_kept(threshold: Threshold, limit: float, seen: CountedJobs) -> float | None:
    """Return the second after the last up to which the rate, from the first that counts, was kept."""
    column, frame = ("sent_at", seen.sent) if threshold.of == "sent" else ("finished_at", seen.done)
    at_s = np.sort(frame[column].drop_nulls().to_numpy()) - seen.trial.began_at
    duration_s = seen.trial.planned_s or (float(at_s[-1]) if len(at_s) else 0.0)
    first_s = int(seen.begin_s)
    since_s = float(first_s)
    for second in range(first_s + 1, int(duration_s) + 1):
        if OPERATORS[threshold.operator](np.searchsorted(at_s, second, side="right") / (second - first_s), limit):
            since_s = float(second)
    return since_s
