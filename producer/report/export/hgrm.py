"""
The percentile distribution that HdrHistogram prints, a `.hgrm`, which its plotters take.

Made from the raw values: no value is rounded into a bucket. Percentiles are HdrHistogram's: levels lie ever closer
towards 100 %, so many to each half of the distance that is left, and each has the smallest value that reaches it.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from producer.errors import UsageError
from producer.plan.stages import STAGES
from producer.report.export.rows import counted_jobs, counted_successes, timed
from producer.rundir.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from numpy.typing import NDArray

    from producer.report.export.rows import Choice
    from producer.rundir.run import Run

TICKS = 5
"""Levels to each half of the distance to 100 %: HdrHistogram's default."""

MS_PER_S = 1000.0
ONE_OF = {"lane": "--lane", "workload": "--workload", "kind": "--kind"}


def hgrm(run: Run, choice: Choice, what: str) -> Iterator[str]:
    """
    Write the distribution of a stage, in ms.

    Args:
        run: Where from.
        choice: Must leave one lane, one workload and one kind of trial; their trials count together.
        what: The stage, one of `STAGES`.

    Raises:
        UsageError: If it leaves several, or no job with that stage; says which there are and how to choose.
    """
    values_ms = stage_s(run, choice, what) * MS_PER_S
    if not len(values_ms):
        raise UsageError(
            f"--what {what}: no job of the choice has it. Choose another: {', '.join(STAGES)}; or a lane whose jobs "
            "succeeded."
        )
    return distribution(values_ms)


def stage_s(run: Run, choice: Choice, what: str) -> NDArray[np.float64]:
    """
    Measure how long a stage took of each job, ascending, in seconds.

    As in the report, publish lag is of all jobs that were sent, and any other stage of those that succeeded.

    Raises:
        UsageError: If the choice leaves several lanes, workloads or kinds of trial; or as `Choice.trials`.
    """
    jobs = counted_jobs(run, choice)
    _must_be_one(jobs)
    stage = STAGES[what]
    sent = timed(run.sent.join(jobs, on=KEY, how="semi"), run, choice)
    rows = sent if stage.of_all_sent else counted_successes(run, choice)
    took_s = stage.durations_s(rows)
    return np.sort(took_s[~np.isnan(took_s)])


def _must_be_one(jobs: pl.DataFrame) -> None:
    several = {
        option: found
        for column, option in ONE_OF.items()
        if len(found := jobs[column].unique(maintain_order=True).to_list()) > 1
    }
    if several:
        ways = ", ".join(f"{option} {'|'.join(found)}" for option, found in several.items())
        raise UsageError(
            "--format hgrm: a distribution is of one lane, one workload and one kind of trial, and here are several. "
            f"Choose: {ways}."
        )


def distribution(values: NDArray[np.float64]) -> Iterator[str]:
    """
    Yield the lines of a `.hgrm`, each with its end.

    Args:
        values: Ascending, at least one; printed as they are, with three digits.
    """
    yield f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}\n\n"
    for level, value, reached in steps(values):
        tail = f" {1 / (1 - level):14.2f}" if level < 1 else ""
        yield f"{value:12.3f} {level:2.12f} {reached:10d}{tail}\n"
    yield f"#[Mean    = {values.mean():12.3f}, StdDeviation   = {values.std():12.3f}]\n"
    yield f"#[Max     = {values[-1]:12.3f}, Total count    = {len(values):12d}]\n"
    # Every distinct value is a bucket of its own.
    yield f"#[Buckets = {len(np.unique(values)):12d}, SubBuckets     = {1:12d}]\n"


def steps(values: NDArray[np.float64]) -> Iterator[tuple[float, float, int]]:
    """
    Yield each level (0 to 1), the smallest value that reaches it, and how many values are at or below that one.

    The levels end with the first that only the largest value reaches, and then 1.

    Args:
        values: Ascending, at least one.
    """
    n = len(values)
    for missing, of in levels():
        # In whole numbers: with fractions a level such as 0.9 of 10 values would be a matter of luck.
        rank = max(1, -(-n * (of - missing) // of))
        value = float(values[rank - 1])
        reached = int(np.searchsorted(values, value, side="right"))
        yield (of - missing) / of, value, reached
        if reached == n:
            break
    yield 1.0, float(values[-1]), n


def levels() -> Iterator[tuple[int, int]]:
    """Yield the distance of each level to 1, as numerator and denominator: 10/10, 9/10, … 6/10, 10/20 and so on."""
    for half in count():
        for tick in range(TICKS):
            yield 2 * TICKS - tick, 2 * TICKS * 2**half
