"""
The cost of analysing a large run: `poolrace report` on a million records, as a user runs it, in a process of its own.

The writer of a race writes the run directory with made-up times: as many trials as a race of ten pairs has, and all
other files of a run.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.figures import Figure, Promise
from poolrace.contract import Outcome
from producer.errors import PoolraceError
from producer.fleet.control import ANSWER_S
from producer.fleet.processes import Processes
from producer.plan.lanes import Lane
from producer.plan.settings import RaceSettings
from producer.report.formats import mebibytes, number
from producer.rundir.schema import COMPLETE, TABLES
from producer.rundir.trials import Kind, Trial
from producer.rundir.writer import RunWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = 1_000_000
BOUND_S = 10.0
BOUND_BYTES = 1 << 30
PROMISE = Promise(most=1.0)

PAIRS = 10
LANES = (Lane(key="prefork", pool="prefork", slots=8), Lane(key="threads", pool="threads", slots=8))
SETTINGS = RaceSettings(lanes=LANES, pairs=PAIRS)
EPOCH_S = 1.8e9
RATE_PER_S = 1000.0
REPORT = "from producer.cli._root import main; main()"
MAXRSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """
    The cost of one report.

    Attributes:
        elapsed_s: The time from starting the process to its end.
        peak_bytes: The most memory that it held.
    """

    elapsed_s: float
    peak_bytes: float


def measure(*, rounds: int = 3, records: int = RECORDS) -> list[Figure]:
    """Write a run directory, and make its report several times."""
    with tempfile.TemporaryDirectory() as folder, Processes() as processes:
        path = make_run(Path(folder), records)
        costs = [report(processes, path, Path(folder) / "report.log") for _ in range(rounds)]
    return [
        Figure.of(
            f"time to report {records:,} records / what is allowed",
            [(cost.elapsed_s, BOUND_S) for cost in costs],
            lambda value_s: f"{number(value_s)} s",
            PROMISE,
        ),
        Figure.of(
            f"memory to report {records:,} records / what is allowed",
            [(cost.peak_bytes, BOUND_BYTES) for cost in costs],
            mebibytes,
            PROMISE,
        ),
    ]


def report(processes: Processes, path: Path, log: Path) -> Cost:
    """Run `poolrace report` once."""
    began_s = time.perf_counter()
    child = processes.start("report", [sys.executable, "-c", REPORT, "report", "--json", str(path)], log=log)
    # Not `wait`, which does not return the resources that the process used.
    _, status, used = os.wait4(child.process.pid, 0)
    child.process.returncode = os.waitstatus_to_exitcode(status)
    elapsed_s = time.perf_counter() - began_s
    if child.process.returncode:
        raise PoolraceError(f"The report of a made-up run failed. The end of its output:\n{child.tail()}")
    return Cost(elapsed_s=elapsed_s, peak_bytes=used.ru_maxrss * MAXRSS_UNIT_BYTES)


def make_run(folder: Path, records: int) -> Path:
    """Write a run directory with about the given number of records, all jobs done."""
    writer = RunWriter.create(folder, "analysis", {"run_id": "00" * 8, "settings": SETTINGS.to_dict()})
    kinds = [(workload, kind) for workload in SETTINGS.workloads for kind in (Kind.CAPACITY, Kind.LATENCY)]
    jobs = records // (len(kinds) * PAIRS * len(LANES))
    trials = ((*kind, turn, lane) for kind in kinds for turn in range(PAIRS) for lane in LANES)
    for number_, (workload, kind, turn, lane) in enumerate(trials):
        began_at = EPOCH_S + number_ * (jobs / RATE_PER_S + 1)
        writer.add_table("records", number_, _records(number_, jobs, lane, began_at))
        writer.add_table("sent", number_, _sent(number_, jobs, began_at))
        writer.add_table("samples", number_, _samples(lane, began_at, jobs / RATE_PER_S))
        writer.add_pings(_pings(number_, lane, began_at, jobs / RATE_PER_S))
        writer.add_trial(_trial(number_, kind, workload, lane, turn, jobs, began_at))
    writer.update_manifest(status=COMPLETE, sizes={}, nodes=[])
    return writer.path


def _trial(number_: int, kind: Kind, workload: str, lane: Lane, turn: int, jobs: int, began_at: float) -> Trial:
    return Trial(
        trial=number_,
        kind=kind,
        workload=workload,
        lane=lane.key,
        round=turn,
        jobs=jobs,
        rate_per_s=RATE_PER_S if kind is Kind.LATENCY else None,
        slots=lane.slots,
        began_at=began_at,
        ended_at=began_at + jobs / RATE_PER_S + 1,
        cpu_s=jobs / RATE_PER_S,
    )


def _due_at(jobs: int, began_at: float) -> pl.Series:
    return pl.Series(began_at + np.arange(jobs) / RATE_PER_S)


def _sent(trial: int, jobs: int, began_at: float) -> pl.DataFrame:
    due_at = _due_at(jobs, began_at)
    columns = {"trial": np.full(jobs, trial), "seq": np.arange(jobs), "part": np.zeros(jobs), "due_at": due_at}
    return _as("sent", pl.DataFrame({**columns, "sent_at": due_at + 0.0002, "accepted_at": due_at + 0.0005}))


def _records(trial: int, jobs: int, lane: Lane, began_at: float) -> pl.DataFrame:
    """Draw waits and service times at random, in the order in which jobs would end."""
    dice = np.random.default_rng(trial)
    due_at = _due_at(jobs, began_at)
    received_at = due_at + 0.001
    started_at = received_at + dice.exponential(0.01, jobs)
    finished_at = started_at + dice.exponential(0.02, jobs)
    frame = pl.DataFrame(
        {
            "trial": np.full(jobs, trial),
            "seq": np.arange(jobs),
            "pid": dice.integers(100, 100 + lane.slots, jobs),
            "thread_id": dice.integers(100, 100 + lane.slots, jobs),
            "due_at": due_at,
            "sent_at": due_at + 0.0002,
            "received_at": received_at,
            "started_at": started_at,
            "finished_at": finished_at,
            "cpu_s": finished_at - started_at,
        }
    ).with_columns(
        lane=pl.lit(lane.key),
        node=pl.lit(f"{lane.key}@host"),
        pool=pl.lit(lane.pool),
        attempt=pl.lit(1),
        redelivered=pl.lit(False),
        gil=pl.lit(True),
        outcome=pl.lit(Outcome.SUCCEEDED.label),
        exception=pl.lit(None),
    )
    return _as("records", frame.sort("finished_at"))


def _samples(lane: Lane, began_at: float, duration_s: float) -> pl.DataFrame:
    """Make one sample a second."""
    at = pl.Series(began_at + np.arange(int(duration_s) + 1))
    frame = pl.DataFrame({"at": at}).with_columns(
        lane=pl.lit(lane.key),
        node=pl.lit(f"{lane.key}@host"),
        cpu_s=pl.col("at") - EPOCH_S,
        pss_bytes=pl.lit(300 << 20),
        private_bytes=pl.lit(200 << 20),
        voluntary_switches=pl.lit(1000),
        involuntary_switches=pl.lit(100),
        processes=pl.lit(lane.slots + 1),
        threads=pl.lit(lane.slots + 2),
        drift_s=pl.lit(0.0),
    )
    return _as("samples", frame)


def _pings(trial: int, lane: Lane, began_at: float, duration_s: float) -> Iterator[dict[str, object]]:
    """Make four pings a second."""
    for number_ in range(int(4 * duration_s) + 1):
        yield {
            "trial": trial,
            "lane": lane.key,
            "node": lane.key,
            "at": began_at + number_ / 4,
            "rtt_s": 0.01,
            "timeout_s": ANSWER_S,
        }


def _as(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame in the layout of a table of the run directory."""
    return frame.select(pl.col(name).cast(kind) for name, kind in TABLES[table].items())
