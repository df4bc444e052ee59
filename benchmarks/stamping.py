"""
The cost of stamping: the capacity of a node that stamps against that of the same node while it does not, on jobs that
do nothing.

The publisher makes the backlog once, with stamps, and it is copied into the node's queue in one step: the node gets the
same messages each time, and only the broker works besides. A turn is long enough for records and samples to be
shipped in it. The time is taken in the same way for both: until the broker has no job that is ready or unacknowledged.
Afterwards a check makes sure that the node did all jobs, and that all records came.
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
from producer.errors import FleetError
from producer.fleet.control import Control
from producer.fleet.embedded import start_embedded
from producer.fleet.environment import inherited_environment
from producer.fleet.processes import Processes
from producer.measure.collector import Collector
from producer.measure.order import Order
from producer.measure.schedule import send_when_due
from producer.measure.sender import JobSender
from producer.plan.arrivals import backlog
from producer.plan.jobs import Call
from producer.plan.lanes import Lane
from producer.report.formats import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from producer.fleet.processes import Child

PROMISE = Promise(least=0.97)
POOLS = ("prefork", "threads")
SLOTS = 8
CODE = "benchmarks.switchable"
SWITCH_COMMAND = "benchmark_stamping"
"""The command's name in that app; importing it would make this process one of its nodes."""

NODE = "node"

RUN_ID = "00" * 8
SHELF = "shelf"
"""The queue that no node reads, in which the backlog is kept."""

LEAST_S_PER_JOB = 0.0002
"""No node does a job in less time, so the broker is asked only after the remaining jobs could be done."""

ASK_S = 0.001
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """
    A node that runs, and its own queue.

    Attributes:
        name: Celery's node name.
        queue: The queue that it reads.
        process: Its main process.
    """

    name: str
    queue: str
    process: psutil.Process

    @property
    def cpu_s(self) -> float:
        """The CPU seconds, user and system, of the node and its children so far."""
        tree = [self.process, *self.process.children(recursive=True)]
        return sum(times.user + times.system for times in (process.cpu_times() for process in tree))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """
    One backlog on one node.

    Attributes:
        jobs_per_s: Jobs per second.
        cpu_s_per_job: CPU seconds per job.
    """

    jobs_per_s: float
    cpu_s_per_job: float


def measure(*, pools: Sequence[str] = POOLS, starts: int = 2, rounds: int = 15, jobs: int = 1200) -> list[Figure]:
    """Start a node of each pool more than once, and alternate between stamping and not."""
    return [figure for pool in pools for figure in _measure_pool(pool, starts, rounds, jobs)]


def _measure_pool(pool: str, starts: int, rounds: int, jobs: int) -> list[Figure]:
    pairs = [pair for _ in range(starts) for pair in _measure_start(pool, rounds, jobs)]
    rates = [(stamped.jobs_per_s, plain.jobs_per_s) for stamped, plain in pairs]
    costs = [(stamped.cpu_s_per_job, plain.cpu_s_per_job) for stamped, plain in pairs]
    return [
        Figure.of(f"{pool}: capacity with stamping / without", rates, jobs_per_s, PROMISE),
        Figure.of(f"{pool}: CPU time of the node a job, with stamping / without", costs, _microseconds),
    ]


def _microseconds(value_s: float) -> str:
    return f"{number(value_s * 1e6)} us"


def _measure_start(pool: str, rounds: int, jobs: int) -> list[tuple[Turn, Turn]]:
    with Stand.open(pool, jobs) as stand:
        for stamping in (False, True):
            stand.turn(stamping=stamping)  # first connections and imports count for nothing
        return [_pair(stand, number_) for number_ in range(rounds)]


def _pair(stand: Stand, number_: int) -> tuple[Turn, Turn]:
    """Take a turn with stamping and one without; which goes first alternates between rounds."""
    first = number_ % 2 == 0
    turns = {stamping: stand.turn(stamping=stamping) for stamping in (first, not first)}
    return turns[True], turns[False]


class Stand:
    """A broker, the node, and the stored backlog."""

    def __init__(self, app: Celery, client: Any, node: Node, collector: Collector, jobs: int) -> None:
        self._app = app
        self._client = client
        self._node = node
        self._collector = collector
        self._control = Control(app)
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
            node = start_node(processes, folder, broker.url, app, pool)
            collector = stack.enter_context(Collector(app, RUN_ID, lane_of={}))
            stand = cls(app, channel.client, node, collector, jobs)
            stack.callback(stand._control.close)
            yield stand

    def turn(self, *, stamping: bool) -> Turn:
        """Give the node the backlog, and measure its speed and its CPU time."""
        self._switch(stamping=stamping)
        done, cpu_s = done_jobs(self._app, self._node), self._node.cpu_s
        self._collector.expect(0, self._jobs if stamping else 0)
        took_s = self._work_off()
        self._await_records()
        cpu_s = self._node.cpu_s - cpu_s
        self._check_all_done(done + self._jobs)
        return Turn(jobs_per_s=self._jobs / took_s, cpu_s_per_job=cpu_s / self._jobs)

    def _switch(self, *, stamping: bool) -> None:
        """Switch stamping; while it stamps, the node also sends a sample of itself once a second, as in a race."""
        (greet, state) = (self._control.hello, "on") if stamping else (self._control.goodbye, "off")
        greet(RUN_ID, [self._node.name])
        answers = self._app.control.broadcast(
            SWITCH_COMMAND,
            {"on": int(stamping)},
            destination=[self._node.name],
            reply=True,
            limit=1,
            timeout=PATIENCE_S,
        )
        if answers != [{self._node.name: {"ok": int(stamping)}}]:
            raise FleetError(f"The node could not switch stamping {state}; it answered {answers!r}.")

    def _work_off(self) -> float:
        began_s = time.perf_counter()
        self._client.copy(SHELF, self._node.queue)
        while left := self._left():
            if time.perf_counter() - began_s > PATIENCE_S:
                raise FleetError(f"{left} of {self._jobs} jobs are still on the broker after {PATIENCE_S:.0f} s.")
            time.sleep(max(ASK_S, left * LEAST_S_PER_JOB))
        return time.perf_counter() - began_s

    def _left(self) -> int:
        """Return the number of ready or unacknowledged jobs, in one step, since jobs move from one to the other."""
        with self._client.pipeline() as pipe:
            return sum(pipe.llen(self._node.queue).hlen("unacked").execute())

    def _await_records(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while self._collector.missing:
            self._collector.poll(ASK_S)
            if time.monotonic() > deadline_s:
                raise FleetError(f"{self._node.name} sent no record of {self._collector.missing} of its jobs.")

    def _check_all_done(self, jobs: int) -> None:
        # The last one is acknowledged before it is counted.
        deadline_s = time.monotonic() + PATIENCE_S
        while (done := done_jobs(self._app, self._node)) < jobs:
            time.sleep(ASK_S)
            if time.monotonic() > deadline_s:
                raise FleetError(f"{self._node.name} did {done} jobs of {jobs}.")


def fill_shelf(app: Celery, connection: Any, jobs: int) -> None:
    """Publish the backlog as a race does, stamps included."""
    order = Order(run_id=RUN_ID, trial=0, calls=(Call("worker.noop", ()),), queue=SHELF, plan=backlog(jobs))
    send_when_due(order, start_at=time.time(), part=(0, 1), send=JobSender(app, Producer(connection)).send)


def start_node(processes: Processes, folder: Path, broker_url: str, app: Celery, pool: str) -> Node:
    """Start a node as a local fleet does, and wait until it answers."""
    lane = Lane(key=NODE, pool=pool, slots=SLOTS)
    command = [
        sys.executable, "-m", "celery", "-A", CODE, "worker", *lane.worker_flags(), "-n", f"{NODE}@benchmark",
        "-Q", NODE, "--without-gossip", "--without-mingle", "--loglevel", "WARNING",
    ]  # fmt: skip
    environment = {**inherited_environment(os.environ), "POOLRACE_BROKER_URL": broker_url}
    child = processes.start("node", command, log=folder / "node.log", env=environment)
    node = Node(name=f"{NODE}@benchmark", queue=NODE, process=psutil.Process(child.process.pid))
    await_node(app, node, child)
    return node


def await_node(app: Celery, node: Node, child: Child) -> None:
    """
    Wait until a node answers.

    Raises:
        FleetError: If it does not, or ends.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while not app.control.ping(destination=[node.name], timeout=0.2):
        child.check()
        if time.monotonic() > deadline_s:
            raise FleetError(f"The {child.name} did not become ready. The end of its log:\n{child.tail()}")


def done_jobs(app: Celery, node: Node) -> int:
    """Return how many jobs a node's slots have taken so far, by its own count."""
    # With a limit, since Celery would otherwise wait for more answers than there are nodes.
    stats: Any = app.control.inspect(destination=[node.name], limit=1).stats() or {}
    return sum(stats.get(node.name, {}).get("total", {}).values())
