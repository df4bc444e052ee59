"""
The settlement of jobs: each one that was sent is settled exactly once.

A node writes one record per delivery, so a job may have none, one or several. `settle` gives each job one fate by
taking the first line that is true:

1. duplicated: it ran to an end (succeeded, failed or ignored) in more than one delivery.
2. done: it ran to an end and did not fail. A task that raised Celery's `Ignore` is done: it ended as its author chose.
3. failed: it ran to an end by raising.
4. revoked: a node dropped it because it was told to.
5. retried: a delivery asked for a retry, and no end of that retry is known.
6. queued: the broker still had it when the trial was given up.
7. failed: a node handed it back (`Reject`), and nobody took it up again.
8. lost: the broker took it, and nothing more is known.
9. refused: the broker did not take it.

So records outweigh what the publisher and the broker said: a job that ran is done even if its message is still there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

import polars as pl

from poolrace.contract import Outcome
from producer.rundir.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from producer.rundir.trials import Trial


class Fate(StrEnum):
    """The fates of jobs."""

    DONE = "done"
    FAILED = "failed"
    REVOKED = "revoked"
    RETRIED = "retried"
    DUPLICATED = "duplicated"
    LOST = "lost"
    QUEUED = "queued"
    REFUSED = "refused"


UNSETTLED = (Fate.LOST, Fate.DUPLICATED, Fate.QUEUED, Fate.RETRIED, Fate.REFUSED)
"""The fates of jobs that did not come to one end."""

FATES = pl.Enum([fate.value for fate in Fate])


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """
    The number of jobs that met each fate; the counts always add up to `sent`.

    Attributes:
        sent: Jobs that the publisher tried to send.
        done: Ran to an end without failing, once.
        failed: Raised, or were handed back for good.
        revoked: Dropped by a node because it was told to.
        retried: Asked for a retry whose end is not known.
        duplicated: Ran to an end more than once.
        lost: Taken by the broker and not seen again.
        queued: Still on the broker when the trial was given up.
        refused: Not taken by the broker.
    """

    sent: int
    done: int = 0
    failed: int = 0
    revoked: int = 0
    retried: int = 0
    duplicated: int = 0
    lost: int = 0
    queued: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        counts = self.counts
        if sum(counts.values()) != self.sent or min(counts.values()) < 0:
            raise ValueError(f"{self.sent} jobs sent, settled as {counts}: the counts must be 0 or more and add up")

    @classmethod
    def sum(cls, settlements: Iterable[Self]) -> Self:
        """Return several settlements as one."""
        each = list(settlements)
        counts = {fate.value: sum(one.count(fate) for one in each) for fate in Fate}
        return cls(sent=sum(one.sent for one in each), **counts)

    def count(self, fate: Fate) -> int:
        """Return how many jobs met this fate."""
        value: int = getattr(self, fate.value)
        return value

    @property
    def counts(self) -> dict[str, int]:
        """The jobs of each fate, by its name."""
        return {fate.value: self.count(fate) for fate in Fate}

    @property
    def complete(self) -> bool:
        """True if every job came to exactly one end."""
        return self.done + self.failed + self.revoked == self.sent

    @property
    def missing(self) -> int:
        """Jobs of which no end is known."""
        return self.retried + self.lost + self.queued + self.refused

    @property
    def failed_share(self) -> float:
        """Failed jobs among those sent, from 0 to 1; 0 if none were sent."""
        return self.failed / self.sent if self.sent else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """
    The jobs of one trial that met one fate other than a single end.

    Attributes:
        trial: Number of the trial.
        lane: Key of its lane.
        workload: What its jobs did.
        fate: Their fate.
        jobs: Their sequence numbers, in order.
    """

    trial: int
    lane: str
    workload: str
    fate: Fate
    jobs: tuple[int, ...]


def settle(sent: pl.DataFrame, records: pl.DataFrame, trials: Sequence[Trial]) -> pl.DataFrame:
    """
    Give every job that was sent its one fate; columns trial, seq, fate, in ascending order.

    A job that `sent` lists twice is one job, and accepted if either attempt was. Records of jobs that were never sent
    change nothing; `count_unknown_records` counts them.
    """
    jobs = sent.group_by(KEY).agg(pl.col("accepted_at").is_not_null().any().alias("accepted"))
    known = jobs.join(_endings(records), on=KEY, how="left").join(_still_queued(trials), on=KEY, how="left")
    return known.select(*KEY, _fate().alias("fate")).sort(KEY)


def _endings(records: pl.DataFrame) -> pl.DataFrame:
    """Count, per job, how many of its deliveries ended in each way."""
    outcome = pl.col("outcome")
    return records.group_by(KEY).agg(outcome.eq(ending.label).sum().alias(ending.label) for ending in Outcome)


def _still_queued(trials: Sequence[Trial]) -> pl.DataFrame:
    """Return the jobs that were on the broker when their trial was given up."""
    keys = {(trial.trial, seq) for trial in trials for seq in trial.queued}
    schema = dict.fromkeys(KEY, pl.UInt32)
    return pl.DataFrame(sorted(keys), schema=schema, orient="row").with_columns(queued=True)


def _fate() -> pl.Expr:
    """Build the list at the top of this module, line by line."""
    times = {ending: pl.col(ending.label).fill_null(0) for ending in Outcome}
    unraised = times[Outcome.SUCCEEDED] + times[Outcome.IGNORED]
    rules = (
        (unraised + times[Outcome.FAILED] > 1, Fate.DUPLICATED),
        (unraised > 0, Fate.DONE),
        (times[Outcome.FAILED] > 0, Fate.FAILED),
        (times[Outcome.REVOKED] > 0, Fate.REVOKED),
        (times[Outcome.RETRIED] > 0, Fate.RETRIED),
        (pl.col("queued").fill_null(False), Fate.QUEUED),
        (times[Outcome.REJECTED] > 0, Fate.FAILED),
        (pl.col("accepted"), Fate.LOST),
    )
    cases = [pl.when(condition).then(pl.lit(fate.value, FATES)) for condition, fate in rules]
    return pl.coalesce(*cases, pl.lit(Fate.REFUSED.value, FATES))


def tally(fates: pl.DataFrame, trial: int | None = None) -> Settlement:
    """Count what `settle` found, for one trial or for all."""
    chosen = fates if trial is None else fates.filter(pl.col("trial") == trial)
    return Settlement(sent=chosen.height, **dict(chosen["fate"].cast(pl.String).value_counts().iter_rows()))


def unsettled(fates: pl.DataFrame, trials: Sequence[Trial]) -> list[Unsettled]:
    """Return the jobs that did not come to one end, by trial and fate."""
    bad = fates.filter(pl.col("fate").is_in([fate.value for fate in UNSETTLED]))
    of = {trial.trial: trial for trial in trials}
    groups = bad.group_by("trial", "fate").agg(pl.col("seq").sort()).sort("trial", "fate")
    return [
        Unsettled(trial=trial, lane=of[trial].lane, workload=of[trial].workload, fate=Fate(fate), jobs=tuple(jobs))
        for trial, fate, jobs in groups.iter_rows()
        if trial in of
    ]


def count_unknown_records(sent: pl.DataFrame, records: pl.DataFrame) -> int:
    """Count records of jobs that were never sent: of another run, or missing from a publisher's list."""
    return records.select(KEY).join(sent.select(KEY), on=KEY, how="anti").height
