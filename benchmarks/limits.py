"""
A search for a known limit: jobs that sleep for a known time on a known number of slots can be done at slots / time a
second, and no faster.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.figures import Figure, Promise, jobs_per_s
from producer.analysis.limit import limit_lanes
from producer.analysis.settle import settle
from producer.measure.kinds import measure_run
from producer.measure.limit import LimitSettings
from producer.plan.lanes import parse_lanes
from producer.plan.thresholds import parse_threshold
from producer.report.progress.display import Silent
from producer.rundir.reader import read_run

SLOTS = 8
SLEEP_S = 0.1
IDEAL_PER_S = SLOTS / SLEEP_S
PROMISE = Promise(least=0.95, most=1.05)


def measure(*, rounds: int = 1, probe_s: float = 10.0, precision: float = 0.02) -> list[Figure]:
    """Search once a round on both pools, with their probes in turn."""
    found: dict[str, list[tuple[float, float]]] = {}
    for turn in range(rounds):
        for lane, limit_per_s in _search(turn, probe_s, precision).items():
            found.setdefault(lane, []).append((limit_per_s, IDEAL_PER_S))
    name = f"limit of sleep({SLEEP_S * 1000:.0f} ms) on {SLOTS} slots / the ideal"
    return [Figure.of(f"{lane}: {name}", pairs, jobs_per_s, PROMISE) for lane, pairs in found.items()]


def _search(seed: int, probe_s: float, precision: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        settings = LimitSettings(
            lanes=parse_lanes(("prefork", "threads"), concurrency=SLOTS, prefetch=4, acks="early"),
            workloads=("sleep",),
            mix={"sleep": 1.0},
            job_s=SLEEP_S,
            arrivals="constant",
            seed=seed,
            slo=(parse_threshold("p99(sojourn) < 300ms"), parse_threshold("lost == 0")),
            probe_s=probe_s,
            precision=precision,
            out=Path(folder),
        )
        path, error = measure_run(settings, Silent())
        if error is not None:
            raise error
        run = read_run(path)
        fates = settle(run.sent, run.records, run.trials)
        return {lane.lane: lane.limit_per_s or 0.0 for lane in limit_lanes(run, fates)}
