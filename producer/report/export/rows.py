"""
A run's records as one table: one row a delivery, with what the job did and what its trial was for.

The other formats are made from the same rows, so that all of them agree with the report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from producer.analysis.latency import after_lead_in, first_successes
from producer.analysis.phases import phase_windows
from producer.errors import UsageError
from producer.rundir.schema import KEY, RECORD_SCHEMA
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

SLICE_ROWS = 10_000
"""Rows that are text at the same time."""

JOB_SCHEMA: Mapping[str, Any] = {
    "trial": pl.UInt32,
    "seq": pl.UInt32,
    "kind": pl.String,
    "phase": pl.String,
    "counts": pl.Boolean,
    "workload": pl.String,
}
COLUMNS = (*JOB_SCHEMA, *(name for name in RECORD_SCHEMA if name not in KEY))
"""Columns of the table, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """
    The part of a run to export.

    Attributes:
        lane: Key of the only lane; None for all.
        workload: The only workload, e.g. `io`; None for all.
        kind: The only kind of trial; None for all but warm-up trials.
        warm_up: Whether warm-up trials, phases of a load that do not count, and jobs of a lead-in belong to it.
    """

    lane: str | None = None
    workload: str | None = None
    kind: Kind | None = None
    warm_up: bool = False

    def trials(self, run: Run) -> list[Trial]:
        """
        Return the chosen trials, in order.

        Raises:
            UsageError: If the run has no such lane or kind, or no trial of both; says which there are.
        """
        _must_be_among("--lane", self.lane, dict.fromkeys(trial.lane for trial in run.trials))
        _must_be_among("--kind", self.kind, dict.fromkeys(trial.kind.value for trial in run.trials))
        chosen = [trial for trial in run.trials if self._takes(trial)]
        if not chosen:
            raise UsageError(
                f"{run.path}: no trial to export is in it. Take part of the choice away, or take warm-up trials, too: "
                "--warm-up."
            )
        return chosen

    def _takes(self, trial: Trial) -> bool:
        if self.lane is not None and trial.lane != self.lane:
            return False
        if self.kind is None:
            return self.warm_up or trial.kind is not Kind.WARM_UP
        return trial.kind is self.kind


def csv(run: Run, choice: Choice) -> Iterator[str]:
    """Write comma-separated rows below a line of names; instants are seconds since 1970, null is empty."""
    table = deliveries(run, choice)
    yield table.clear().write_csv()
    for part in table.iter_slices(SLICE_ROWS):
        yield part.write_csv(include_header=False, float_scientific=False)


def jsonl(run: Run, choice: Choice) -> Iterator[str]:
    """Write a JSON object a line; instants are seconds since 1970."""
    for part in deliveries(run, choice).iter_slices(SLICE_ROWS):
        yield part.write_ndjson()


def deliveries(run: Run, choice: Choice) -> pl.DataFrame:
    """
    Tabulate deliveries, in the layout of `COLUMNS`.

    A record of a job that was never sent has no workload and no phase; a trial that had not ended is left out.

    Raises:
        UsageError: As `Choice.trials`, or if the run has no such workload.
    """
    jobs = jobs_of(run, choice)
    kinds = pl.DataFrame(
        [(trial.trial, trial.kind.value) for trial in choice.trials(run)],
        {"trial": pl.UInt32, "kind": pl.String},
        orient="row",
    )
    table = run.records.join(kinds, on="trial", how="inner", maintain_order="left").join(
        jobs.drop("kind"), on=KEY, how="left", maintain_order="left", suffix=" of the trial"
    )
    # Of a mix apart, a job counts for the lane whose trial it was, whichever lane's node took it.
    table = table.with_columns(lane=pl.coalesce("lane of the trial", "lane"))
    if choice.workload is not None:
        table = table.filter(pl.col("workload") == choice.workload)
    return table.select(COLUMNS)


def counted_jobs(run: Run, choice: Choice) -> pl.DataFrame:
    """
    Return the jobs that figures are made from: those sent in phases that count, or in all with `choice.warm_up`.

    Columns trial, seq, kind, phase, counts, workload and lane.

    Raises:
        UsageError: As `deliveries`.
    """
    jobs = jobs_of(run, choice)
    return jobs if choice.warm_up else jobs.filter(pl.col("counts"))


def counted_successes(run: Run, choice: Choice) -> pl.DataFrame:
    """
    Return the instants of each counted job that succeeded, with kind, workload and lane, in the order they finished.

    Those due in the lead-in of their trial are left out, as from any figure of latency, unless `choice.warm_up`.

    Raises:
        UsageError: As `deliveries`.
    """
    jobs = counted_jobs(run, choice)
    ours = run.records.filter(pl.col("trial").is_in(jobs["trial"].unique().implode()))
    children = run.children.filter(pl.col("trial").is_in(jobs["trial"].unique().implode()))
    return timed(first_successes(ours, children).join(jobs, on=KEY, how="inner", maintain_order="left"), run, choice)


def timed(jobs: pl.DataFrame, run: Run, choice: Choice) -> pl.DataFrame:
    """Return the jobs that figures of latency are made from: without lead-ins, or with them with `choice.warm_up`."""
    return jobs if choice.warm_up else after_lead_in(jobs, run.trials)


def jobs_of(run: Run, choice: Choice) -> pl.DataFrame:
    """
    Return every job that was sent in the chosen trials: trial, seq, kind, phase, counts, workload and lane.

    Raises:
        UsageError: As `deliveries`.
    """
    trials = choice.trials(run)
    sent = run.sent.select(*KEY, "part", "due_at").unique(KEY, keep="first", maintain_order=True)
    jobs = (
        sent.join(_parts(trials), on=("trial", "part"), how="inner", maintain_order="left")
        .sort("due_at", maintain_order=True)
        .join_asof(_phases(run, trials), on="due_at", by="trial", check_sortedness=False)
        .with_columns(pl.col("counts").fill_null(value=True))
        .select(*JOB_SCHEMA, "lane")
        .sort(KEY)
    )
    if choice.workload is None:
        return jobs
    _must_be_among("--workload", choice.workload, dict.fromkeys(jobs["workload"]))
    return jobs.filter(pl.col("workload") == choice.workload)


def _parts(trials: Sequence[Trial]) -> pl.DataFrame:
    """Tabulate workload, lane and kind of each part of each trial; a trial without parts has one."""
    rows = [
        (trial.trial, number, workload, trial.lane, trial.kind.value)
        for trial in trials
        for number, workload in enumerate(trial.parts or (trial.workload,))
    ]
    schema = {"trial": pl.UInt32, "part": pl.UInt8, "workload": pl.String, "lane": pl.String, "kind": pl.String}
    return pl.DataFrame(rows, schema, orient="row")


def _phases(run: Run, trials: Sequence[Trial]) -> pl.DataFrame:
    """Tabulate from when on each phase of each load lasts, ascending, and whether it counts; all do where none does."""
    rows = []
    for trial in trials:
        windows = phase_windows(run, trial)
        any_counts = any(window.counts for window in windows)
        for window in windows:
            # Clocks may put the first jobs just before the load's start; they are of its first phase.
            starts_at = trial.began_at + window.begin_s if window.begin_s else float("-inf")
            rows.append((trial.trial, starts_at, window.name, window.counts or not any_counts))
    schema = {"trial": pl.UInt32, "due_at": pl.Float64, "phase": pl.String, "counts": pl.Boolean}
    return pl.DataFrame(rows, schema, orient="row").sort("due_at", maintain_order=True)


def _must_be_among(option: str, wanted: str | None, there: Mapping[str, object]) -> None:
    if wanted is not None and wanted not in there:
        raise UsageError(f"{option} {wanted}: the run has none of it. It has: {', '.join(there)}.")
