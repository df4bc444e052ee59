"""Lanes that one core holds back while others use the rest, so that a race shows less than their difference. Pure."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from poolrace.pools import POOLS
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.plan.lanes import Lane
    from producer.rundir.run import Run

TAKEN_CORES = 0.5
"""Other programs that use so many cores leave a lane that could use them too little to show it."""

FULL_SHARE = 0.75
"""A node that uses so much of a core is held back by it, and not by what its jobs wait for."""


def held_back(run: Run, lanes: Sequence[Lane], workload: str) -> Mapping[str, float]:
    """
    Return by what part lanes may be slower once other programs leave their cores, from 0 to 1, by the lane's key.

    Of lanes whose nodes run Python on one core at a time and had one each: a lane that can use several would do as many
    jobs on each further core. Whether the jobs hold the GIL for all of that time is not known, so it is the worst case.

    Args:
        run: The run.
        lanes: Its lanes; where none can use several cores, nothing is held back.
        workload: The workload whose backlogs are looked at.
    """
    if not any(_is_parallel(run, lane) for lane in lanes):
        return {}
    found = {}
    for lane in lanes:
        others, used = _cores(run, lane, workload)
        if not _is_parallel(run, lane) and others >= TAKEN_CORES and used >= FULL_SHARE * lane.nodes:
            found[lane.key] = others / (lane.nodes + others)
    return found


def _is_parallel(run: Run, lane: Lane) -> bool:
    if lane.pool not in POOLS:
        return True  # of a pool that is not known nothing is said
    gils = [node.hello.get("gil", True) for node in run.manifest.nodes if node.lane == lane.key]
    return POOLS[lane.pool].has_parallel_python or (bool(gils) and not any(gils))


def _cores(run: Run, lane: Lane, workload: str) -> tuple[float, float]:
    """Return the cores that others used, and those that the lane's nodes used, in the middle one of its backlogs."""
    trials = [
        trial
        for trial in run.trials
        if (trial.kind, trial.workload, trial.lane) == (Kind.CAPACITY, workload, lane.key)
        and trial.others_cores is not None
        and trial.cpu_s is not None
    ]
    if not trials:
        return 0.0, 0.0
    others = median(trial.others_cores or 0.0 for trial in trials)
    return others, median((trial.cpu_s or 0.0) / max(trial.ended_at - trial.began_at, 1e-3) for trial in trials)
