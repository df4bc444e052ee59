"""
The cost of collecting: 16 nodes ship 10,000 records a second over the embedded broker to a collector in this process.

The collector does here what it does under a load: it takes what arrives, shows once a second what is new, and writes
tables of a run directory. What it uses is the CPU time of this process, which does nothing else.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from celery import Celery

from benchmarks.figures import Figure, Promise
from benchmarks.shipped import node_names
from producer.errors import PoolraceError
from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes
from producer.measure.collector import Collector
from producer.measure.trial import POLL_S, ROWS_A_PART
from producer.plan.settings import RaceSettings
from producer.report.formats import number
from producer.rundir.reader import read_run
from producer.rundir.writer import RunWriter

if TYPE_CHECKING:
    from producer.fleet.processes import Child

NODES, RATE_PER_S = 16, 10_000
CORE = Promise(most=1.0)
ALL = Promise(least=1.0, most=1.0)
RUN_ID = "00" * 8
LANE = "prefork"
PATIENCE_S = 30.0
"""So long after the last record was due, one that is missing is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """
    What one round took.

    Attributes:
        records: Different jobs of which a record is in the run directory.
        cpu_s: CPU seconds of the collector.
        elapsed_s: From the first poll until the last record was there.
        shipped_s: How long the nodes took to hand their records over.
    """

    records: int
    cpu_s: float
    elapsed_s: float
    shipped_s: float


def measure(*, rounds: int = 3, nodes: int = NODES, rate_per_s: int = RATE_PER_S, for_s: float = 20.0) -> list[Figure]:
    """Collect what nodes ship at a rate, several times."""
    asked = round(rate_per_s * for_s)
    found = [collect(nodes, asked, rate_per_s) for _ in range(rounds)]
    name = f"{nodes} nodes that ship {rate_per_s:,} records/s"
    return [
        Figure.of(
            f"{name}: cores that the collector uses / one",
            [(each.cpu_s / each.elapsed_s, 1.0) for each in found],
            lambda cores: f"{number(cores)} cores",
            CORE,
        ),
        Figure.of(
            f"{name}: records in the run directory / shipped",
            [(each.records, asked) for each in found],
            lambda records: f"{records:,.0f}",
            ALL,
        ),
        Figure.of(
            f"{name}: time until all are there / that in which they were shipped",
            [(each.elapsed_s, each.shipped_s) for each in found],
            lambda value_s: f"{number(value_s)} s",
        ),
    ]


def collect(nodes: int, records: int, rate_per_s: float) -> Collected:
    """Start nodes that ship, and collect until all records are there."""
    with tempfile.TemporaryDirectory() as folder, Processes() as processes:
        broker = start_embedded(processes, processes.folder())
        app = Celery("collecting", broker=broker.url, set_as_current=False)
        writer = RunWriter.create(Path(folder), "run", {"run_id": RUN_ID, "settings": RaceSettings(lanes=()).to_dict()})
        with Collector(app, RUN_ID, lane_of=dict.fromkeys(node_names(nodes), LANE)) as collector:
            collector.expect(0, records, LANE)
            child = _start(processes, broker.url, nodes, records, rate_per_s, Path(folder) / "nodes.log")
            cpu_s, elapsed_s = _follow(collector, writer, child, records / rate_per_s + PATIENCE_S)
        child.process.wait(PATIENCE_S)
        return Collected(
            records=read_run(writer.path).records["seq"].n_unique(),
            cpu_s=cpu_s,
            elapsed_s=elapsed_s,
            shipped_s=float(child.said()),
        )


def _start(processes: Processes, broker_url: str, nodes: int, records: int, rate_per_s: float, log: Path) -> Child:
    options = {"broker": broker_url, "run": RUN_ID, "nodes": nodes, "records": records, "rate": rate_per_s}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return processes.start("nodes", [sys.executable, "-m", "benchmarks.shipped", *words], log=log)


def _follow(collector: Collector, writer: RunWriter, child: Child, longest_s: float) -> tuple[float, float]:
    """Collect until all is there; return the CPU seconds and the seconds that it took, from the first record on."""
    while not collector.rows:
        child.check()
        collector.poll(POLL_S)
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    looked_s = began_s
    while collector.missing:
        collector.poll(POLL_S)
        if time.monotonic() - looked_s > 1:
            looked_s = time.monotonic()
            collector.fresh()
            if collector.rows > ROWS_A_PART:
                _write(collector, writer)
            if looked_s - began_s > longest_s:
                raise PoolraceError(f"{collector.missing:,} records did not arrive in {longest_s:.0f} s.")
    _write(collector, writer)
    return time.process_time() - began_cpu_s, time.monotonic() - began_s


def _write(collector: Collector, writer: RunWriter) -> None:
    for table, frame in collector.take()._asdict().items():
        writer.add_table(table, 0, frame)
