"""
Whether a race sees what is known: jobs that hold the GIL gain from a second core on prefork only, and jobs that wait
do not care. Measured by the race itself.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Promise, Skipped
from producer.analyse import analyse
from producer.lanes import parse_lanes
from producer.machine import describe
from producer.race import run_race
from producer.report.formats import number
from producer.report.progress import Silent
from producer.rundir import read_run
from producer.settings import RaceSettings
from producer.verdict import pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Result
    from producer.verdict import PairedValues

PROMISES = {"cpu": Promise(least=1.7), "io": Promise(least=0.95, most=1.05)}
CORES = 2


def measure(*, pairs: int = 7, trial_s: float = 1.5) -> Sequence[Result]:
    """Race both pools on both workloads; ratios are prefork over threads, pair by pair."""
    lanes = parse_lanes(("prefork", "threads"), slots=8, prefetch=4, acks="early")
    with tempfile.TemporaryDirectory() as folder:
        settings = RaceSettings(
            lanes=lanes, workloads=tuple(PROMISES), pairs=pairs, trial_s=trial_s, out=Path(folder), sizes={}
        )
        path, error = run_race(settings, Silent())
        if error is not None:
            raise error
        run = read_run(path)
        found = pair(analyse(run.trials, run.sent, run.records).trials)
    return [_figure(values) for values in found if values.measure == "capacity"]


def _figure(values: PairedValues) -> Result:
    name = f"{values.workload}: prefork jobs/s / threads jobs/s"
    cores = describe().cores
    if values.workload == "cpu" and cores != CORES:
        return Skipped(name=name, reason=f"the promise is for {CORES} cores, and here are {cores:g}")
    pairs = [(a, b) for a, b in values.values if a is not None and b is not None]
    prefork, threads = (sorted(side)[len(pairs) // 2] for side in zip(*pairs, strict=True))
    return Figure(
        name=name,
        ratios=[a / b for a, b in pairs],
        promise=PROMISES[values.workload],
        terms=f"{number(prefork)} jobs/s / {number(threads)} jobs/s",
    )
