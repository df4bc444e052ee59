"""The stages of jobs, as percentiles over their records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from poolrace.contract import Outcome
from producer.analysis.percentiles import Percentiles, percentiles
from producer.rundir.schema import KEY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


INSTANTS = ("due_at", "sent_at", "received_at", "started_at", "finished_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """
    How long jobs took, stretch by stretch; each None if no job has it.

    Only jobs that succeeded count, each by its first success. After a retry, received and started are those of the
    delivery that succeeded, so that the failed attempts are part of its waits.

    Attributes:
        sojourn: Finished minus due: what a user feels.
        sojourn_from_sent: Finished minus sent: what a generator that waits its turn would have reported.
        queue_wait: Started minus sent; broker wait and slot wait together.
        broker_wait: Received minus sent.
        slot_wait: Started minus received.
        service: Finished minus started, of the job itself and not of those that it started.
        cpu: CPU time of the slot's thread during service.
        publish_lag: Sent minus due of all jobs that were sent: the generator's own lateness.
        negative: Jobs with a broker wait, slot wait or service time below zero: clocks disagree by more than it took.
            Their values are kept as they are.
    """

    sojourn: Percentiles | None
    sojourn_from_sent: Percentiles | None
    queue_wait: Percentiles | None
    broker_wait: Percentiles | None
    slot_wait: Percentiles | None
    service: Percentiles | None
    cpu: Percentiles | None
    publish_lag: Percentiles | None
    negative: int

    def stage(self, name: str) -> Percentiles | None:
        """Return the percentiles of a stage by its name, e.g. `sojourn`."""
        found: Percentiles | None = getattr(self, name)
        return found


def first_successes(records: pl.DataFrame, children: pl.DataFrame | None = None) -> pl.DataFrame:
    """
    Of each job that succeeded the record of its first success, in the order in which they finished.

    A job that started others is finished when the last of them is; `returned_at` is when it itself was.
    """
    found = (
        records.lazy()
        .filter(pl.col("outcome") == Outcome.SUCCEEDED.label)
        .select(*KEY, *INSTANTS, "cpu_s")
        .sort("finished_at", maintain_order=True)
        .unique(KEY, keep="first", maintain_order=True)
        .with_columns(returned_at=pl.col("finished_at"))
        .collect()
    )
    if children is None or not children.height:
        return found
    last = children.group_by(KEY).agg(pl.col("finished_at").max().alias("last_at"))
    return (
        found.join(last, on=KEY, how="left", maintain_order="left")
        .with_columns(finished_at=pl.max_horizontal("finished_at", "last_at"))
        .drop("last_at")
        .sort("finished_at", maintain_order=True)
    )


def latency(successes: pl.DataFrame, sent: pl.DataFrame) -> Latency:
    """
    Percentiles of every stretch of the jobs' lives.

    Args:
        successes: One record a job, as `first_successes` returns them.
        sent: What the publisher sent, with due_at and sent_at.
    """
    due_at, sent_at, received_at, started_at, finished_at = (floats(successes, name) for name in INSTANTS)
    broker_wait_s, slot_wait_s = received_at - sent_at, started_at - received_at
    service_s = floats(successes, "returned_at") - started_at
    return Latency(
        sojourn=percentiles(finished_at - due_at),
        sojourn_from_sent=percentiles(finished_at - sent_at),
        queue_wait=percentiles(started_at - sent_at),
        broker_wait=percentiles(broker_wait_s),
        slot_wait=percentiles(slot_wait_s),
        service=percentiles(service_s),
        cpu=percentiles(floats(successes, "cpu_s")),
        publish_lag=percentiles(floats(sent, "sent_at") - floats(sent, "due_at")),
        negative=int(((broker_wait_s < 0) | (slot_wait_s < 0) | (service_s < 0)).sum()),
    )


def floats(frame: pl.DataFrame, column: str) -> NDArray[np.float64]:
    """A column as numpy sees it; null becomes NaN."""
    return frame[column].cast(pl.Float64).to_numpy()
