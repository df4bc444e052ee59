"""
By how much processes grow, and while which jobs. Pure.

Growth is told by the hour of work: a lane is idle while the others have their turn, and hardly grows then. The first
quarter of the time is left out, in which every process fills its caches. What grew in a few jumps has no rate: growth
is then told by what is between them, and whether they go on cannot be said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from producer.analysis.jumps import jumps_in, times_as_long
from producer.analysis.stats import OUTSIDE
from producer.analysis.trend import Trend, in_blocks, trend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl
    from numpy.typing import NDArray

    from producer.plan.run_settings import SoakOptions
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

HOUR_S = 3600.0
SETTLING = 0.25
"""The part of the time at the beginning that is left out."""

BLOCKS = 24
SEEN_BEFORE, SEEN_AFTER = 0.1, 0.9
"""A process is followed if it was seen before and after these parts of the time: not one that replaced another."""

SLOWED = 0.5
"""Growth that in the second half of the time is surely less than this part of the whole is about to end."""

LEAST_ROUNDS = 3
LEAST_GAIN = {"memory": 1 << 20, "files": 3, "sockets": 3}
"""What a process must have gained to be called a leak: less is what allocators and pools of connections take."""

TOLERATED_FILES_PER_H = 6.0
"""Open files that may come in an hour: 1,024, the usual limit of a process, then last for a week."""


class Growing(StrEnum):
    """Whether something grows for good."""

    LEAK = "leak"
    NO_LEAK = "no leak"
    UNKNOWN = "cannot say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """
    The growth of one process all at once.

    Attributes:
        process: Which of those that were followed, from 0.
        after_s: For how long its lane had worked, in seconds.
        by: By how much it grew.
    """

    process: int
    after_s: float
    by: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """
    The growth of one thing in the processes of one kind.

    Attributes:
        what: `memory`, in bytes, shared pages included, `files`, its open descriptors, or `sockets`, those of
            them that are sockets.
        root: Of the nodes' main processes; otherwise of the processes below them.
        processes: How many were followed from begin to end.
        first: What one held at first, after it had settled.
        last: What one held at the end.
        per_h: By how much one grew in an hour of work, its jumps left out.
        low_per_h: The lower end of its 95 % interval; None if too few values were independent.
        high_per_h: The upper end.
        growing: Whether it grows for good, by more than is tolerated.
        slows: It grew, and surely less than half as fast at the end.
        needed_s: How long a soak would probably have to be to say; None if it can be said, or that is not known.
        jumps: In which it grew by more than is tolerated, by time; empty if it grew in none, or in more than a few.
    """

    what: str
    root: bool
    processes: int
    first: float
    last: float
    per_h: float
    low_per_h: float | None
    high_per_h: float | None
    growing: Growing
    slows: bool = False
    needed_s: float | None = None
    jumps: tuple[Jump, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGrowth:
    """
    By how much processes of a lane grew while jobs of one task ran alone.

    Attributes:
        workload: The task.
        root: Main processes of nodes grew by it; otherwise the processes below them.
        jobs: How many of its jobs ended in the rounds that count.
        rounds: How many rounds count.
        bytes_per_job: Growth by a job, all such processes together: the mean of the rounds.
        low: The lower end of its 95 % interval; None with fewer than three rounds.
        high: The upper end.
    """

    workload: str
    root: bool
    jobs: int
    rounds: int
    bytes_per_job: float
    low: float | None
    high: float | None


class Work:
    """
    The time that a lane worked.

    Attributes:
        total_s: All of it, in seconds.
    """

    def __init__(self, trials: Sequence[Trial]) -> None:
        ends = [(trial.began_at, trial.ended_at) for trial in sorted(trials, key=lambda each: each.began_at)]
        took = [end - begin for begin, end in ends]
        self._instants = np.array(ends).ravel()
        worked = np.repeat(np.concatenate([[0.0], np.cumsum(took)]), 2)
        self._worked_s = worked[1:-1]
        self.total_s = float(sum(took))

    def rest_around(self, edge: float) -> tuple[float, float]:
        """Return from when to when the lane was idle before the begin, or after the end, of one of its trials."""
        place = int(np.abs(self._instants - edge).argmin())
        if place % 2:  # the end of a trial
            return edge, float(self._instants[place + 1]) if place + 1 < len(self._instants) else math.inf
        return float(self._instants[place - 1]) if place else -math.inf, edge

    def until_s(self, instants: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how long the lane had worked at some instants, in seconds."""
        found: NDArray[np.float64] = np.interp(instants, self._instants, self._worked_s)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """
    A process that was there all the time.

    Attributes:
        root: The main process of a node.
        at: When it was sampled, ascending.
        values: What it held: `memory`, `files`, `sockets`; only what the system tells.
    """

    root: bool
    at: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float64]]


COLUMNS = {"memory": "rss_bytes", "files": "open_files", "sockets": "sockets"}


def followed(processes: pl.DataFrame, work: Work) -> list[Followed]:
    """Return the processes that were there all the time, by what was sampled of a lane's processes."""
    found = []
    for _, samples in sorted(processes.group_by("node", "pid"), key=lambda each: each[0]):
        mine = samples.sort("at")
        at = mine["at"].to_numpy()
        first, last = work.until_s(at[[0, -1]]) / work.total_s
        if first <= SEEN_BEFORE and last >= SEEN_AFTER:
            told = {what: mine[column] for what, column in COLUMNS.items() if not mine[column].null_count()}
            values = {what: column.to_numpy().astype(np.float64) for what, column in told.items()}
            found.append(Followed(root=bool(mine["root"][0]), at=at, values=values))
    return found


def growths_of(processes: Sequence[Followed], work: Work, options: SoakOptions) -> Iterator[Growth]:
    """Yield the growth of each thing in main processes, and in those below them."""
    for root in (True, False):
        for what in COLUMNS:
            told = [each for each in processes if each.root is root and what in each.values]
            if told and (found := _growth(told, what, work, options)) is not None:
                yield found


def _growth(told: Sequence[Followed], what: str, work: Work, options: SoakOptions) -> Growth | None:
    edges = np.linspace(SETTLING, 1.0, BLOCKS + 1) * work.total_s / HOUR_S
    blocks = [in_blocks(work.until_s(each.at) / HOUR_S, each.values[what], edges) for each in told]
    hours = sorted(set.intersection(*map(set, blocks)))
    held = [[each[at] for at in hours] for each in blocks]
    values = [float(np.mean(some)) for some in zip(*held, strict=True)]
    found = trend(hours, values)
    if found is None:
        return None
    tolerated = options.tolerated_bytes_per_h if what == "memory" else TOLERATED_FILES_PER_H
    jumps = [] if surely(found, tolerated) is Growing.NO_LEAK else [jumps_in(hours, each) for each in held]
    if any(jumps):
        found = trend(hours, values, set().union(*jumps)) or Trend(slope=found.slope, low=None, high=None)
    growing = surely(found, tolerated)
    if growing is Growing.LEAK and (found.low or 0.0) * (hours[-1] - hours[0]) < LEAST_GAIN[what]:
        growing = Growing.UNKNOWN
    if any(jumps) and growing is Growing.NO_LEAK:
        growing = Growing.UNKNOWN  # nothing grew but in jumps, and whether they go on is not known
    slows = not any(jumps) and _slows(hours, values, found.slope, tolerated)
    return Growth(
        what=what,
        root=told[0].root,
        processes=len(told),
        first=values[0],
        last=values[-1],
        per_h=found.slope,
        low_per_h=found.low,
        high_per_h=found.high,
        growing=Growing.UNKNOWN if slows else growing,
        slows=slows,
        needed_s=_needed_s(found, tolerated, jumps, options.for_s) if growing is Growing.UNKNOWN else None,
        jumps=tuple(_told(jumps, hours)),
    )


def _slows(hours: Sequence[float], values: Sequence[float], slope: float, tolerated: float) -> bool:
    half = len(hours) // 2
    later = trend(hours[half:], values[half:])
    return slope > tolerated and later is not None and later.slope + later.half < SLOWED * slope


def _told(jumps: Sequence[Mapping[int, float]], hours: Sequence[float]) -> list[Jump]:
    """Return the jumps of each process, by time: each half-way between the values before and after it."""
    told = [
        Jump(process=process, after_s=HOUR_S * (hours[place - 1] + hours[place]) / 2, by=by)
        for process, mine in enumerate(jumps)
        for place, by in mine.items()
    ]
    return sorted(told, key=lambda each: each.after_s)


def surely(found: Trend, tolerated: float) -> Growing:
    """Return whether something grows by more than is tolerated: the whole interval of its trend lies on one side."""
    if found.low is None or found.high is None:
        return Growing.UNKNOWN
    if found.low > tolerated:
        return Growing.LEAK
    return Growing.NO_LEAK if found.high <= tolerated else Growing.UNKNOWN


def _needed_s(found: Trend, tolerated: float, jumps: Sequence[Mapping[int, float]], for_s: float) -> float | None:
    """
    Return how long a soak with the same noise would have to be: an interval shrinks with the 3/2th power of time.

    Of what grew in jumps at least until there are more than a few, if they are those of a leak.
    """
    away = abs(found.slope - tolerated)
    rare_s = for_s * times_as_long(max(map(len, jumps))) if any(jumps) else None
    if not math.isfinite(found.half) or away == 0:
        return rare_s
    return max(rare_s or 0.0, for_s * max(1.0, float((found.half / away) ** (2 / 3))))


def tasks_of(run: Run, processes: Sequence[Followed], alone: Sequence[Trial], work: Work) -> Iterator[TaskGrowth]:
    """
    Yield by how much the processes grew with jobs of each task.

    Args:
        run: The run.
        processes: Those of a lane that were there all the time.
        alone: The lane's trials in which one task ran alone.
        work: The time of all its trials.
    """
    ended = dict(run.records.group_by("trial").len().iter_rows())
    for root in (True, False):
        known = [each for each in processes if each.root is root and "memory" in each.values]
        for workload in dict.fromkeys(trial.workload for trial in alone) if known else ():
            trials = [trial for trial in alone if trial.workload == workload and trial.round and ended.get(trial.trial)]
            grew = [sum(_grew(each, trial, work) for each in known) / ended[trial.trial] for trial in trials]
            if grew:
                yield _task(workload, root, sum(ended[trial.trial] for trial in trials), grew)


def _grew(process: Followed, trial: Trial, work: Work) -> float:
    """Return by how many bytes a process grew in a trial."""
    return _at_rest(process, trial.ended_at, work) - _at_rest(process, trial.began_at, work)


def _at_rest(process: Followed, edge: float, work: Work) -> float:
    """Return what a process held at an edge of a trial: while it was idle there, or else between two samples."""
    begin, end = work.rest_around(edge)
    idle = np.flatnonzero((process.at >= begin) & (process.at <= end))
    if not len(idle):
        return float(np.interp(edge, process.at, process.values["memory"]))
    nearest = idle[np.abs(process.at[idle] - edge).argmin()]
    return float(process.values["memory"][nearest])


def _task(workload: str, root: bool, jobs: int, grew: Sequence[float]) -> TaskGrowth:
    mean, rounds = float(np.mean(grew)), len(grew)
    half = None
    if rounds >= LEAST_ROUNDS:
        half = float(stdtrit(rounds - 1, 1 - OUTSIDE) * np.std(grew, ddof=1) / math.sqrt(rounds))
    return TaskGrowth(
        workload=workload,
        root=root,
        jobs=jobs,
        rounds=rounds,
        bytes_per_job=mean,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
    )
