"""
Which tasks of a mix are slower beside the others than alone, because of which, and what became of them apart. Pure.

A race of a user's own app holds each task at its share of the rate at which it holds the mix, so that both trials have
as many of its jobs in the same time: what differs is the company.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from producer.analysis.latency import after_lead_in, first_successes, groups_of
from producer.analysis.percentiles import choose_percentile, percentiles
from producer.plan.own_app import MIX
from producer.plan.stages import STAGES
from producer.rundir.schema import KEY
from producer.rundir.trials import AT_HELD_RATE, Kind

if TYPE_CHECKING:
    from collections.abc import Collection

    from producer.analysis.percentiles import Percentiles
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

LEAST_TIMES, LEAST_S = 1.1, 0.001
"""A task counts as slowed if it takes certainly more than so many times, and so many seconds, longer than alone."""

SAME_RATE = 0.9
"""A task whose rate alone and rate in the mix differ by more than this part is not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowed:
    """
    A task that takes longer, from due to finished, beside the other tasks of a mix than alone on the same lane.

    Attributes:
        lane: Key of the lane.
        task: The task.
        percentile: The percentile that is compared: the highest that both have enough jobs for, e.g. `p99`.
        alone_s: Its value alone, in seconds.
        mixed_s: Its value in the mix.
        times_low: The mix takes at least so many times as long, by the far ends of both 95 % intervals.
        times_high: And at most so many times; None if that is not known.
        longer: What takes longer: its own `run`; its wait for a `slot`, while all of them are busy; or its wait for the
            `node`, which does not begin it although a slot is free.
        by: The other task that takes most of what it lacks: time in slots if it waits for one, else CPU time. None if
            that is not known.
        by_share: The part of all CPU time, or of all time in slots, that the other task takes, from 0 to 1.
    """

    lane: str
    task: str
    percentile: str
    alone_s: float
    mixed_s: float
    times_low: float
    times_high: float | None
    longer: Literal["run", "slot", "node"]
    by: str | None
    by_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """
    A task of a mix whose jobs were on one lane, and the same mix while other lanes took the jobs of some tasks.

    Attributes:
        lane: Key of the lane that took all others.
        task: The task.
        taken_by: Key of the lane that took its jobs: the same, or another one.
        percentile: The percentile that is compared: the highest that both have enough jobs for, e.g. `p99`.
        together_s: Its value while all jobs were on the lane, in seconds.
        apart_s: Its value while they were apart.
        times_low: Apart it takes at least so many times as long, by the far ends of both 95 % intervals; None if that
            is not known.
        times_high: And at most so many times.
    """

    lane: str
    task: str
    taken_by: str
    percentile: str
    together_s: float
    apart_s: float
    times_low: float | None
    times_high: float | None


def tasks_apart(run: Run, disturbed: Collection[int]) -> tuple[Apart, ...]:
    """
    Return what became of each task of a mix when lanes shared it, by lane and task; none if that was not asked for.

    Args:
        run: The run.
        disturbed: The numbers of trials that do not count.
    """
    race = run.manifest.settings.race
    if not race or not race.apart:
        return ()
    trials = [trial for trial in run.trials if trial.kind in AT_HELD_RATE and trial.trial not in disturbed]
    done = _with_parts(run, trials)
    found = []
    for lane in dict.fromkeys(trial.lane for trial in trials if trial.kind is Kind.APART):
        apart, together = (
            [trial for trial in trials if trial.lane == lane and trial.workload == MIX and trial.kind is kind]
            for kind in (Kind.APART, Kind.LATENCY)
        )
        for part, task in enumerate(apart[0].parts):
            before, after = (_spread("sojourn", _of(done, each, part)) for each in (together, apart))
            if before and after:
                name = choose_percentile([before.n, after.n])
                low, high = _times(before.interval(name), after.interval(name))
                found.append(
                    Apart(
                        lane=lane,
                        task=task,
                        taken_by=dict(race.apart).get(task, lane),
                        percentile=name,
                        together_s=before.statistic(name),
                        apart_s=after.statistic(name),
                        times_low=low,
                        times_high=high,
                    )
                )
    return tuple(found)


Ends = tuple[float | None, float | None]
"""The ends of an interval, in seconds; None for one that is not known."""


def _times(before: Ends, after: Ends) -> Ends:
    """Return how many times as long something takes after as before, by the far ends of both intervals."""
    (before_low, before_high), (after_low, after_high) = before, after
    low = after_low / before_high if after_low is not None and before_high else None
    return low, after_high / before_low if after_high is not None and before_low else None


def slowed_tasks(run: Run, disturbed: Collection[int]) -> tuple[Slowed, ...]:
    """
    Return the tasks that a mix makes slower, by lane and task; none for a run of the demonstration's jobs.

    Args:
        run: The run.
        disturbed: The numbers of trials that do not count.
    """
    if not run.manifest.settings.app:
        return ()
    trials = [trial for trial in run.trials if trial.kind is Kind.LATENCY and trial.trial not in disturbed]
    done = _with_parts(run, trials)
    found = []
    for lane in dict.fromkeys(trial.lane for trial in trials):
        mixed = [trial for trial in trials if trial.lane == lane and trial.workload == MIX]
        for part, task in enumerate(mixed[0].parts if mixed else ()):
            alone = [trial for trial in trials if trial.lane == lane and trial.workload == task]
            if alone and _is_same(_rate_per_s(alone), _rate_per_s(mixed) * _share(run, mixed, part)):
                found.append(_compared(run, _of(done, alone), _of(done, mixed, part), mixed, part))
    return tuple(filter(None, found))


def _with_parts(run: Run, trials: list[Trial]) -> pl.DataFrame:
    """Return the first successes in some trials, lead-ins left out, with the number of the task of each."""
    numbers = [trial.trial for trial in trials]
    ended, children = (frame.filter(pl.col("trial").is_in(numbers)) for frame in (run.records, run.children))
    done = after_lead_in(first_successes(ended, children), trials)
    return done.join(run.sent.select(*KEY, "part"), on=KEY, how="inner", maintain_order="left")


def _is_same(one_per_s: float, other_per_s: float) -> bool:
    return SAME_RATE * other_per_s <= one_per_s <= other_per_s / SAME_RATE


def _rate_per_s(trials: list[Trial]) -> float:
    return trials[0].rate_per_s or 0.0


def _share(run: Run, mixed: list[Trial], part: int) -> float:
    """Return the share of a part among all jobs of some trials, from 0 to 1."""
    sent = run.sent.filter(pl.col("trial").is_in([trial.trial for trial in mixed]))
    return float((sent["part"] == part).sum()) / max(sent.height, 1)


def _of(done: pl.DataFrame, trials: list[Trial], part: int | None = None) -> pl.DataFrame:
    chosen = done.filter(pl.col("trial").is_in([trial.trial for trial in trials]))
    return chosen if part is None else chosen.filter(pl.col("part") == part)


def _compared(run: Run, alone: pl.DataFrame, mixed: pl.DataFrame, trials: list[Trial], part: int) -> Slowed | None:
    """Return how much slower a task is in the mix; None if it is not shown to be."""
    name = choose_percentile([alone.height, mixed.height])
    before, after = _spread("sojourn", alone), _spread("sojourn", mixed)
    if before is None or after is None:
        return None
    alone_high, mixed_low = before.interval(name)[1], after.interval(name)[0]
    if not alone_high or mixed_low is None or mixed_low < max(LEAST_TIMES * alone_high, alone_high + LEAST_S):
        return None
    low, high = _times(before.interval(name), after.interval(name))
    assert low
    run_before, run_after = _spread("service", alone), _spread("service", mixed)
    assert run_before
    assert run_after
    run_s = run_after.statistic(name) - run_before.statistic(name)
    waits_for: Literal["slot", "node"] = "slot" if _found_slots_busy(run, mixed, trials) else "node"
    longer = "run" if run_s > (after.statistic(name) - before.statistic(name)) / 2 else waits_for
    by, by_share = _most_greedy(run, trials, part, "held_s" if longer == "slot" else "cpu_s")
    return Slowed(
        lane=trials[0].lane,
        task=trials[0].parts[part],
        percentile=name,
        alone_s=before.statistic(name),
        mixed_s=after.statistic(name),
        times_low=low,
        times_high=high,
        longer=longer,
        by=by,
        by_share=by_share,
    )


def _spread(stage: str, jobs: pl.DataFrame) -> Percentiles | None:
    return percentiles(STAGES[stage].durations_s(jobs), groups_of(jobs))


def _found_slots_busy(run: Run, jobs: pl.DataFrame, trials: list[Trial]) -> bool:
    """
    Check whether most jobs began as soon as a slot was free, and not before: they waited for it.

    Whoever waits for a slot begins when another job leaves one, and all others are busy then; one that has been free
    for half of the wait was not what it waited for.
    """
    busy = 0
    for trial in trials:
        ended = _with_children(run, [trial.trial]).drop_nulls(["started_at", "finished_at"])
        ours = jobs.filter(pl.col("trial") == trial.trial)
        began_at, sent_at = ours["started_at"].to_numpy(), ours["sent_at"].to_numpy()
        ends = np.sort(ended["finished_at"].to_numpy())
        left = np.searchsorted(ends, began_at, side="right")
        others = np.searchsorted(np.sort(ended["started_at"].to_numpy()), began_at, side="left") - left
        left_at = np.concatenate(([-np.inf], ends))[left]  # of the last job that ended before
        just_left = began_at - left_at < (began_at - sent_at) / 2
        busy += int(np.count_nonzero((others >= trial.slots - 1) & just_left))
    return busy > jobs.height / 2


def _with_children(run: Run, numbers: list[int]) -> pl.DataFrame:
    """Return the records of some trials, with those of jobs that others started, which count for the task of those."""
    return pl.concat([frame.filter(pl.col("trial").is_in(numbers)) for frame in (run.records, run.children)])


def _most_greedy(run: Run, trials: list[Trial], part: int, of: str) -> tuple[str | None, float | None]:
    """Return the other task that takes most CPU time (`cpu_s`) or time in slots (`held_s`), and its share of it all."""
    took = (
        _with_children(run, [trial.trial for trial in trials])
        .join(run.sent.select(*KEY, "part"), on=KEY, how="inner")
        .with_columns(held_s=pl.col("finished_at") - pl.col("started_at"), cpu_s=pl.col("cpu_s").fill_nan(None))
        .group_by("part")
        .agg(pl.col(of).sum())
    )
    total = float(took[of].sum())
    others = took.filter(pl.col("part") != part).sort(of, descending=True)
    if not total or not others.height:
        return None, None
    return trials[0].parts[int(others["part"][0])], float(others[of][0]) / total
