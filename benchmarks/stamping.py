"""
What stamping costs: the capacity of a node whose app is stamped against one whose app is not, on jobs that do nothing.

Both nodes run side by side and take turns, many short ones, so that a machine that is slow for a second is slow for
both. The backlog is made once, by the publisher and with stamps, and is copied into a node's queue in one step: both
get the very same messages, and nothing else works meanwhile but the broker. The clock is the same for both and asks
neither: it runs until the broker has no job that is ready or unacknowledged. That the node did them all is looked at
afterwards, and so are the records.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
from celery import Celery
from kombu import Producer

from benchmarks.figures import Figure, Promise, jobs_per_s
from producer.collect import Collector
from producer.control import Control
from producer.errors import FleetError
from producer.fleet.broker import start_embedded
from producer.fleet.local import inherited_environment
from producer.fleet.processes import Processes
from producer.lanes import Lane
from producer.plan import backlog
from producer.publish import JobSender, Order, send_when_due
from producer.report.formats import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from producer.fleet.processes import Child

PROMISE = Promise(least=0.97)
POOLS = ("prefork", "threads")
SLOTS = 8
APPS = {"stamped": "worker.app", "unstamped": "benchmarks.unstamped"}

RUN_ID = "00" * 8
SHELF = "shelf"
"""The queue that nobody reads, in which the backlog is kept."""

LEAST_S_PER_JOB = 0.0002
"""No node does a job in less, so the broker need not be asked before the jobs that are left could be done."""

ASK_S = 0.001
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """
    A node that runs, and its own queue.

    Attributes:
        name: Celery's node name.
        queue: What it reads.
        process: Its main process.
    """

    name: str
    queue: str
    process: psutil.Process

    @property
    def cpu_s(self) -> float:
        """CPU seconds, user and system, of the node and its children so far."""
        tree = [self.process, *self.process.children(recursive=True)]
        return sum(times.user + times.system for times in (process.cpu_times() for process in tree))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """
    One backlog on one node.

    Attributes:
        jobs_per_s: How fast it was done.
        cpu_s_per_job: What it took of the cores.
    """

    jobs_per_s: float
    cpu_s_per_job: float


def measure(*, pools: Sequence[str] = POOLS, starts: int = 3, rounds: int = 10, jobs: int = 500) -> list[Figure]:
    """Start the two nodes of each pool several times, since no process is as fast as another, and alternate them."""
    return [figure for pool in pools for figure in _measure_pool(pool, starts, rounds, jobs)]


def _measure_pool(pool: str, starts: int, rounds: int, jobs: int) -> list[Figure]:
    pairs = [pair for start in range(starts) for pair in _measure_start(pool, start, rounds, jobs)]
    rates = [(stamped.jobs_per_s, unstamped.jobs_per_s) for stamped, unstamped in pairs]
    costs = [(stamped.cpu_s_per_job, unstamped.cpu_s_per_job) for stamped, unstamped in pairs]
    return [
        Figure.of(f"{pool}: capacity stamped / unstamped", rates, jobs_per_s, PROMISE),
        Figure.of(f"{pool}: CPU time of the node a job, stamped / unstamped", costs, _microseconds),
    ]


def _microseconds(value_s: float) -> str:
    return f"{number(value_s * 1e6)} us"


def _measure_start(pool: str, start: int, rounds: int, jobs: int) -> list[tuple[Turn, Turn]]:
    with Stand.open(pool, jobs) as stand:
        for name in APPS:
            stand.turn(name)  # first connections and imports count for nothing
        return [_pair(stand, start + turn) for turn in range(rounds)]


def _pair(stand: Stand, number_: int) -> tuple[Turn, Turn]:
    """A turn of each; which goes first changes each round."""
    names = list(APPS)[:: -1 if number_ % 2 else 1]
    turns = {name: stand.turn(name) for name in names}
    return turns["stamped"], turns["unstamped"]


class Stand:
    """A broker, the two nodes, and the backlog on its shelf."""

    def __init__(self, app: Celery, client: Any, nodes: dict[str, Node], collector: Collector, jobs: int) -> None:
        self._app = app
        self._client = client
        self._nodes = nodes
        self._collector = collector
        self._jobs = jobs

    @classmethod
    @contextmanager
    def open(cls, pool: str, jobs: int) -> Iterator[Stand]:
        """Start everything, and leave nothing behind."""
        with ExitStack() as stack:
            processes = stack.enter_context(Processes())
            folder = processes.folder()
            broker = start_embedded(processes, folder)
            app = stack.enter_context(Celery("benchmark", broker=broker.url, set_as_current=False))
            connection = stack.enter_context(app.connection_for_write())
            channel: Any = connection.default_channel
            fill_shelf(app, connection, jobs)
            nodes = {
                name: start_node(processes, folder, broker.url, app, name, pool, code) for name, code in APPS.items()
            }
            collector = stack.enter_context(Collector(app, RUN_ID, lane_of={}, publisher_correction_s=0.0))
            watch(app, nodes["stamped"])
            yield cls(app, channel.client, nodes, collector, jobs)

    def turn(self, name: str) -> Turn:
        """Give one node the backlog, and see how long it takes."""
        node = self._nodes[name]
        done, cpu_s = done_jobs(self._app, node), node.cpu_s
        self._collector.expect(0, self._jobs if name == "stamped" else 0)
        took_s = self._work_off(node.queue)
        self._await_records(node)
        cpu_s = node.cpu_s - cpu_s
        self._see_all_done(node, done + self._jobs)
        return Turn(jobs_per_s=self._jobs / took_s, cpu_s_per_job=cpu_s / self._jobs)

    def _work_off(self, queue: str) -> float:
        began_s = time.perf_counter()
        self._client.copy(SHELF, queue)
        while left := self._left(queue):
            if time.perf_counter() - began_s > PATIENCE_S:
                raise FleetError(f"{left} of {self._jobs} jobs are still on the broker after {PATIENCE_S:.0f} s.")
            time.sleep(max(ASK_S, left * LEAST_S_PER_JOB))
        return time.perf_counter() - began_s

    def _left(self, queue: str) -> int:
        """Jobs that are ready or unacknowledged; one look at both, since jobs move from one to the other."""
        with self._client.pipeline() as pipe:
            return sum(pipe.llen(queue).hlen("unacked").execute())

    def _await_records(self, node: Node) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while self._collector.missing:
            self._collector.poll(ASK_S)
            if time.monotonic() > deadline_s:
                raise FleetError(f"{node.name} did not tell of {self._collector.missing} of its jobs.")

    def _see_all_done(self, node: Node, jobs: int) -> None:
        # The last one is acknowledged before it is counted.
        deadline_s = time.monotonic() + PATIENCE_S
        while (done := done_jobs(self._app, node)) < jobs:
            time.sleep(ASK_S)
            if time.monotonic() > deadline_s:
                raise FleetError(f"{node.name} did {done} jobs of {jobs}.")


def fill_shelf(app: Celery, connection: Any, jobs: int) -> None:
    """Publish the backlog as a race does, stamps included."""
    order = Order(run_id=RUN_ID, trial=0, task="worker.noop", args=(), queue=SHELF, plan=backlog(jobs))
    send_when_due(order, start_at=time.time(), part=(0, 1), send=JobSender(app, Producer(connection)).send)


def start_node(
    processes: Processes, folder: Path, broker_url: str, app: Celery, name: str, pool: str, code: str
) -> Node:
    """Start a node as a local fleet does, and wait until it answers."""
    lane = Lane(key=name, pool=pool, slots=SLOTS)
    command = [
        sys.executable, "-m", "celery", "-A", code, "worker", *lane.worker_flags(), "-n", f"{name}@benchmark",
        "-Q", name, "--without-gossip", "--without-mingle", "--loglevel", "WARNING",
    ]  # fmt: skip
    # Python's hash seed alone can make one process several percent faster than another.
    environment = {**inherited_environment(os.environ), "POOLRACE_BROKER_URL": broker_url, "PYTHONHASHSEED": "0"}
    child = processes.start(f"node {name}", command, log=folder / f"{name}.log", env=environment)
    node = Node(name=f"{name}@benchmark", queue=name, process=psutil.Process(child.process.pid))
    _wait_for(app, node, child)
    return node


def _wait_for(app: Celery, node: Node, child: Child) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not app.control.ping(destination=[node.name], timeout=0.2):
        child.check()
        if time.monotonic() > deadline_s:
            raise FleetError(f"The {child.name} did not become ready. The end of its log:\n{child.tail()}")


def watch(app: Celery, node: Node) -> None:
    """Have a node send samples of itself once a second, as in a race."""
    control = Control(app)
    control.hello(RUN_ID, [node.name])
    control.close()


def done_jobs(app: Celery, node: Node) -> int:
    """How many jobs a node says that its slots have taken so far."""
    # With a limit, since Celery would wait for more answers than there can be.
    stats: Any = app.control.inspect(destination=[node.name], limit=1).stats() or {}
    return sum(stats.get(node.name, {}).get("total", {}).values())
