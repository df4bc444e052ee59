"""What a soak found: whether lanes leak, by which task, and what it costs to replace children. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from producer.analysis.growth import HOUR_S, Growing, Growth, TaskGrowth, Work, followed, growths_of, tasks_of
from producer.analysis.kind import KindParts, RunKind
from producer.analysis.percentiles import Percentiles
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.results import Analysis
    from producer.analysis.verdict import Verdict
    from producer.plan.run_settings import SoakOptions
    from producer.rundir.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """
    What it costs to replace the children of a lane.

    Attributes:
        lane: Key of the lane that replaces them.
        jobs: After so many jobs each.
        replaced: How many were replaced.
        capacity: Its jobs per second over those of the lane that does not, from pairs of trials; None without a pair.
        capacity_low: The lower end of its interval.
        capacity_high: The upper end.
        kept: Sojourns at the held rate without replacement; None if none was measured.
        recycled: Sojourns of the same jobs with it.
    """

    lane: str
    jobs: int
    replaced: int
    capacity: float | None
    capacity_low: float | None
    capacity_high: float | None
    kept: Percentiles | None
    recycled: Percentiles | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSoak:
    """
    What a soak found on a lane.

    Attributes:
        lane: The lane's key.
        growing: Whether it leaks: memory or files.
        worked_s: How long it worked, the time that is left out included.
        growths: Of memory, files and sockets, of main processes and of those below them.
        tasks: Growth by task, of those that ran alone; empty where there is one workload.
        jobs_per_h: Jobs that a slot did in an hour of work.
        recycling: What it costs to replace its children; None where none are.
    """

    lane: str
    growing: Growing
    worked_s: float
    growths: tuple[Growth, ...]
    tasks: tuple[TaskGrowth, ...]
    jobs_per_h: float
    recycling: Recycling | None

    @property
    def leaks(self) -> tuple[Growth, ...]:
        """What grows for good."""
        return tuple(each for each in self.growths if each.growing is Growing.LEAK)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakSummary:
    """
    The findings of a soak.

    Attributes:
        lanes: One entry a lane that does not recycle for comparison.
    """

    lanes: tuple[LaneSoak, ...]

    @property
    def met(self) -> bool:
        """True if no lane leaks."""
        return all(lane.growing is not Growing.LEAK for lane in self.lanes)


def soak_parts(run: Run, analysis: Analysis, verdicts: Sequence[Verdict]) -> KindParts:
    """Return what a soak found on each lane."""
    options = run.manifest.settings.soak
    if options is None:
        return KindParts()
    kept = [lane.key for lane in run.manifest.settings.lanes if lane.key not in options.recycled]
    lanes = tuple(
        found
        for key in kept
        if (found := _lane(run, key, options, _recycling(run, key, options, analysis, verdicts))) is not None
    )
    return KindParts(found=SoakSummary(lanes=lanes))


def _lane(run: Run, key: str, options: SoakOptions, recycling: Recycling | None) -> LaneSoak | None:
    """Return what was found on a lane; None if it was not measured."""
    trials = [trial for trial in run.trials if trial.lane == key and trial.kind is not Kind.WARM_UP]
    if not trials:
        return None
    work = Work(trials)
    processes = followed(run.processes.filter(pl.col("lane") == key), work)
    growths = tuple(growths_of(processes, work, options))
    together = run.manifest.settings.workloads[-1]
    alone = [trial for trial in trials if trial.workload != together]
    return LaneSoak(
        lane=key,
        growing=_all_together(growths),
        worked_s=work.total_s,
        growths=growths,
        tasks=tuple(tasks_of(run, processes, alone, work)),
        jobs_per_h=HOUR_S * sum(trial.jobs for trial in trials) / work.total_s / trials[0].slots,
        recycling=recycling,
    )


def _all_together(growths: Sequence[Growth]) -> Growing:
    """Return whether a lane leaks: something surely grows, or nothing does."""
    told = {each.growing for each in growths if each.what != "sockets"}  # they are files, too
    if Growing.LEAK in told:
        return Growing.LEAK
    return Growing.NO_LEAK if told == {Growing.NO_LEAK} else Growing.UNKNOWN


def _recycling(
    run: Run, key: str, options: SoakOptions, analysis: Analysis, verdicts: Sequence[Verdict]
) -> Recycling | None:
    other = next((twin for twin, kept in options.recycled.items() if kept == key), None)
    results = {each.lane: each for each in analysis.lanes if each.workload == run.manifest.settings.workloads[-1]}
    if other is None or other not in results or key not in results:
        return None
    ratio = next((each for each in verdicts if each.measure == "capacity" and {each.a, each.b} == {key, other}), None)
    value, low, high = _over(ratio, other)
    kept, recycled = (results[each].latency for each in (key, other))
    return Recycling(
        lane=other,
        jobs=options.recycle_jobs,
        replaced=replaced(run, other),
        capacity=value,
        capacity_low=low,
        capacity_high=high,
        kept=kept.sojourn if kept else None,
        recycled=recycled.sojourn if recycled else None,
    )


def _over(ratio: Verdict | None, lane: str) -> tuple[float | None, float | None, float | None]:
    """Return a lane's capacity over the other's, with its interval, whichever way they were compared."""
    if ratio is None or ratio.ratio is None:
        return None, None, None
    if ratio.a == lane:
        return ratio.ratio, ratio.low, ratio.high
    return 1 / ratio.ratio, 1 / ratio.high if ratio.high else None, 1 / ratio.low if ratio.low else None


def replaced(run: Run, lane: str) -> int:
    """Return how many children of a lane were replaced, by the records of its jobs: those beyond one for each slot."""
    jobs = run.records.filter(pl.col("lane") == lane)
    children = int(jobs.select(pl.struct("node", "pid").n_unique()).item())
    slots = next((trial.slots for trial in run.trials if trial.lane == lane), 0)
    return max(0, children - slots)


SOAK = RunKind(name="soak", summarise=soak_parts)
