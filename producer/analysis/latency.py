"""The stages of jobs, as percentiles over their records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from poolrace.contract import Outcome
from producer.analysis.percentiles import Percentiles, percentiles
from producer.plan.stages import STAGES, with_returns
from producer.rundir.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from producer.rundir.trials import Trial


FEWEST_STRETCHES, MOST_STRETCHES, JOBS_A_STRETCH = 5, 10, 200
"""A single trial is cut into so many parts of equal length, by when its jobs were due, each with enough jobs that a
queue which was long at the end of one part hardly is at the end of the next."""

CANNOT_BE_NEGATIVE = ("broker_wait", "slot_wait", "service")
"""Stages that show by a value below zero that clocks disagree."""

INSTANTS = ("due_at", "sent_at", "received_at", "started_at", "finished_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """
    Percentiles of each stage of jobs; None if no job has it. The fields are the stages of `producer.plan.stages`.

    Only jobs that succeeded count, each by its first success. After a retry, received and started are those of the
    delivery that succeeded, so that the failed attempts are part of its waits.

    Attributes:
        sojourn: From due to finished, children included.
        sojourn_from_sent: From sent to finished, children included.
        sojourn_without_children: From due to the return of the job itself.
        queue_wait: From sent to started.
        broker_wait: From sent to received.
        slot_wait: From received to started.
        service: From started to the return of the job itself.
        service_with_children: From started to finished, children included.
        publish_lag: From due to sent, of all jobs that were sent.
        cpu: CPU time of the slot's thread during service.
        negative: The number of jobs with a broker wait, slot wait or service time below zero: clocks disagree by more
            than it took. Their values are kept as they are.
    """

    sojourn: Percentiles | None
    sojourn_from_sent: Percentiles | None
    sojourn_without_children: Percentiles | None
    queue_wait: Percentiles | None
    broker_wait: Percentiles | None
    slot_wait: Percentiles | None
    service: Percentiles | None
    service_with_children: Percentiles | None
    publish_lag: Percentiles | None
    cpu: Percentiles | None
    negative: int

    def stage(self, name: str) -> Percentiles | None:
        """Return the percentiles of a stage by its name, e.g. `sojourn`."""
        found: Percentiles | None = getattr(self, name)
        return found


def first_successes(records: pl.DataFrame, children: pl.DataFrame | None = None) -> pl.DataFrame:
    """
    Return the first success of each job that succeeded, in the order in which they finished.

    `returned_at` is when the job itself returned. `finished_at` is that too, or, for a job that started others, when
    the last of these ended.
    """
    found = (
        records.lazy()
        .filter(pl.col("outcome") == Outcome.SUCCEEDED.label)
        .select(*KEY, *INSTANTS, "cpu_s")
        .sort("finished_at", maintain_order=True)
        .unique(KEY, keep="first", maintain_order=True)
        .collect()
    )
    found = with_returns(found)
    if children is None or not children.height:
        return found
    last = children.group_by(KEY).agg(pl.col("finished_at").max().alias("last_at"))
    return (
        found.join(last, on=KEY, how="left", maintain_order="left")
        .with_columns(finished_at=pl.max_horizontal("finished_at", "last_at"))
        .drop("last_at")
        .sort("finished_at", maintain_order=True)
    )


def after_lead_in(jobs: pl.DataFrame, trials: Iterable[Trial]) -> pl.DataFrame:
    """Return the jobs that figures of latency are made from: all but those due in the lead-in of their trial."""
    ends_at = {trial.trial: trial.began_at + trial.lead_in_s for trial in trials if trial.lead_in_s > 0}
    if not ends_at:
        return jobs
    ends = pl.col("trial").replace_strict(ends_at, default=float("-inf"), return_dtype=pl.Float64)
    return jobs.filter(pl.col("due_at") >= ends)


def latency(successes: pl.DataFrame, sent: pl.DataFrame) -> Latency:
    """
    Compute the percentiles of every stage, with their intervals.

    Args:
        successes: One record a job, as `first_successes` returns them.
        sent: What the publisher sent, with due_at and sent_at.
    """
    took_s = {name: stage.durations_s(sent if stage.of_all_sent else successes) for name, stage in STAGES.items()}
    below_zero = np.any([took_s[name] < 0 for name in CANNOT_BE_NEGATIVE], axis=0)
    of_sent, of_successes = groups_of(sent), groups_of(successes)
    return Latency(
        **{
            name: percentiles(values, of_sent if STAGES[name].of_all_sent else of_successes)
            for name, values in took_s.items()
        },
        cpu=percentiles(floats(successes, "cpu_s"), of_successes),
        negative=int(np.count_nonzero(below_zero)),
    )


def groups_of(jobs: pl.DataFrame) -> NDArray[np.int64]:
    """
    Return the number of each job's group, from 0: its jobs resemble each other, because they waited in the same queue.

    A group is a trial; of a single one it is a stretch, a fifth to a tenth of the time in which its jobs were due.
    """
    trials = jobs["trial"].rank("dense").cast(pl.Int64).to_numpy() - 1
    if not len(trials) or trials.any():
        return trials
    due_at = floats(jobs, "due_at")
    span_s = float(due_at.max() - due_at.min())
    if not span_s > 0:
        return trials
    stretches = min(max(len(trials) // JOBS_A_STRETCH, FEWEST_STRETCHES), MOST_STRETCHES)
    found: NDArray[np.int64] = ((due_at - due_at.min()) / span_s * stretches).astype(np.int64)
    return found.clip(max=stretches - 1)


def floats(frame: pl.DataFrame, column: str) -> NDArray[np.float64]:
    """Return a column as numpy sees it; null becomes NaN."""
    return frame[column].cast(pl.Float64).to_numpy()
