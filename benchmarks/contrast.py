"""
A race against known results: jobs that hold the GIL gain from a second core on prefork only, and jobs that wait gain
nothing. Measured by the race itself.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Promise, Skipped, jobs_per_s
from producer.analysis.analyse import analyse
from producer.analysis.pairs import pair
from producer.fleet.machine import describe
from producer.measure.kinds import measure_run
from producer.plan.lanes import parse_lanes
from producer.plan.settings import RaceSettings
from producer.report.progress.display import Silent
from producer.rundir.reader import read_run

if TYPE_CHECKING:
    from benchmarks.figures import Result
    from producer.analysis.pairs import PairedValues

PROMISES = {"cpu": Promise(least=1.7), "io": Promise(least=1 / 1.05, most=1.05)}
CPU_CORES = 2
"""The number of cores that the promise on cpu jobs is made for."""


def measure(*, pairs: int = 5, trial_s: float = 1.5) -> list[Result]:
    """Race both pools on both workloads, and divide prefork by threads, pair by pair."""
    lanes = parse_lanes(("prefork", "threads"), concurrency=8, prefetch=4, acks="early")
    with tempfile.TemporaryDirectory() as folder:
        settings = RaceSettings(lanes=lanes, workloads=tuple(PROMISES), pairs=pairs, trial_s=trial_s, out=Path(folder))
        path, error = measure_run(settings, Silent())
        if error is not None:
            raise error
        run = read_run(path)
        compared = pair(analyse(run.trials, run.sent, run.records, run.children).trials)
    return [_result(values) for values in compared if values.measure == "capacity"]


def _result(values: PairedValues) -> Result:
    name = f"capacity on {values.workload} jobs, prefork / threads"
    cores = describe().cores
    if values.workload == "cpu" and cores != CPU_CORES:
        return Skipped(name=name, reason=f"promised for {CPU_CORES} cores, and here are {cores:g}")
    rounds = [(ratio, 1.0) for ratio in values.ratios if ratio]
    return Figure.of(name, rounds, jobs_per_s, PROMISES[values.workload])
