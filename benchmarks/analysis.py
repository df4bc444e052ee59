"""How long one million records take to become a summary, and how much memory, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.figures import Figure, Promise
from producer.collect import RECORD_SCHEMA
from producer.lanes import Lane
from producer.publish import SENT_SCHEMA
from producer.report.formats import mebibytes, number
from producer.rundir import COMPLETE, RunWriter
from producer.settings import RaceSettings
from producer.trials import Kind, Trial

RECORDS = 1_000_000
BOUND_S = 10.0
BOUND_BYTES = 1 << 30
WORKLOADS = ("cpu", "native", "io", "mixed")
PAIRS = 10
LANES = (Lane(key="prefork", pool="prefork", slots=8), Lane(key="threads", pool="threads", slots=8))
EPOCH_S = 1.8e9

SUMMARISE = """
import json, pathlib, resource, sys, time
began_s = time.perf_counter()
from producer.summary import summarise
summary = summarise(pathlib.Path(sys.argv[1]))
took_s = time.perf_counter() - began_s
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"took_s": took_s, "peak_bytes": peak * (1 if sys.platform == "darwin" else 1024),
                  "done": summary["settlement"]["done"]}))
"""


def measure(*, rounds: int = 3, records: int = RECORDS) -> list[Figure]:
    """Make a run directory of so many records, and summarise it, imports and reading included."""
    with tempfile.TemporaryDirectory() as folder:
        path = make_run(Path(folder), records)
        taken = [summarise(path) for _ in range(rounds)]
    times_s, peaks_bytes = [each["took_s"] for each in taken], [each["peak_bytes"] for each in taken]
    middle = rounds // 2
    return [
        Figure(
            name=f"time for {records:,} records / {BOUND_S:g} s",
            ratios=[took_s / BOUND_S for took_s in times_s],
            promise=Promise(most=1.0),
            terms=f"{number(sorted(times_s)[middle])} s / {BOUND_S:g} s",
        ),
        Figure(
            name=f"memory for {records:,} records / 1 GiB",
            ratios=[peak_bytes / BOUND_BYTES for peak_bytes in peaks_bytes],
            promise=Promise(most=1.0),
            terms=f"{mebibytes(sorted(peaks_bytes)[middle])} / {mebibytes(BOUND_BYTES)}",
        ),
    ]


def summarise(path: Path) -> dict[str, float]:
    """Seconds and peak bytes of a new process that summarises a run."""
    answer = subprocess.run([sys.executable, "-c", SUMMARISE, str(path)], capture_output=True, text=True, check=True)
    return dict(json.loads(answer.stdout))


def make_run(folder: Path, records: int) -> Path:
    """A run directory as a long race writes it: a file a trial, all jobs done."""
    settings = RaceSettings(lanes=LANES, workloads=WORKLOADS, pairs=PAIRS)
    writer = RunWriter.create(folder, "bench", {"run_id": "00" * 8, "settings": settings.to_dict()})
    plans = list(product(WORKLOADS, (Kind.CAPACITY, Kind.LATENCY), range(PAIRS), LANES))
    for number_, (workload, kind, turn, lane) in enumerate(plans):
        jobs = records // len(plans)
        writer.add_table("records", number_, fake_records(number_, jobs, lane))
        writer.add_table("sent", number_, fake_sent(number_, jobs))
        writer.add_trial(
            Trial(
                trial=number_, kind=kind, workload=workload, lane=lane.key, round=turn, jobs=jobs,
                rate_per_s=None if kind is Kind.CAPACITY else 1000.0, slots=lane.slots, began_at=EPOCH_S,
                ended_at=EPOCH_S + jobs / 1000, cpu_s=1.0,
            )
        )  # fmt: skip
    writer.update_manifest(status=COMPLETE)
    return writer.path


def fake_sent(trial: int, jobs: int) -> pl.DataFrame:
    """What a publisher sent: a job a millisecond."""
    due_at = EPOCH_S + np.arange(jobs) / 1000
    columns = {"trial": np.full(jobs, trial), "seq": np.arange(jobs), "due_at": due_at}
    late = {"sent_at": due_at + 0.0002, "accepted_at": due_at + 0.0005}
    return pl.DataFrame({**columns, **late}).cast(SENT_SCHEMA)  # type: ignore[arg-type]  # a mapping of types


def fake_records(trial: int, jobs: int, lane: Lane) -> pl.DataFrame:
    """What a lane made of it: waits and service times drawn at random."""
    dice = np.random.default_rng(trial)
    due_at = EPOCH_S + np.arange(jobs) / 1000
    received_at = due_at + 0.0002 + dice.exponential(0.002, jobs)
    started_at = received_at + dice.exponential(0.01, jobs)
    finished_at = started_at + dice.exponential(0.02, jobs)
    columns = {
        "trial": np.full(jobs, trial), "seq": np.arange(jobs), "pid": dice.integers(100, 108, jobs),
        "thread_id": dice.integers(100, 108, jobs), "due_at": due_at, "sent_at": due_at + 0.0002,
        "received_at": received_at, "started_at": started_at, "finished_at": finished_at,
        "cpu_s": finished_at - started_at, "attempt": np.ones(jobs),
        "redelivered": np.zeros(jobs, dtype=bool), "gil": np.ones(jobs, dtype=bool),
    }  # fmt: skip
    words = {"lane": lane.key, "node": f"{lane.key}@host", "pool": lane.pool, "outcome": "succeeded"}
    frame = pl.DataFrame(columns).with_columns(
        *(pl.lit(word).alias(name) for name, word in words.items()), pl.lit(None, pl.String).alias("exception")
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in RECORD_SCHEMA.items())
