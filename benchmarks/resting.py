"""
Idle and nearly idle nodes: their cost for the broker and the machine, and the wait of a job that comes while they rest.

Each node has a broker of its own, so that all work of a broker is for that node. All run at the same time, so that
other work of the machine affects all of them. Each round starts them again, because two processes of one program differ
in speed as long as they run.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import redis

from benchmarks.account import Account, cpu_s
from benchmarks.busy import WAITS, command, environment, make_app
from producer.errors import FleetError
from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from celery import Celery

    from producer.fleet.processes import Child

SETTLE_S = 3.0
"""The time in which a node still connects and announces itself after its first answer."""

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """
    The figures of one arm in one round.

    Attributes:
        commands_per_s: Commands to the broker while no job came, those in scripts too.
        broker_share: CPU seconds of the broker per second in that time.
        node_share: CPU seconds of the nodes per second in that time.
        waits_s: The time from sent to started, of each job at the held rate.
        commands_per_job: Commands to the broker per job at that rate, those of publishing and in scripts too.
        sent_per_job: The same without the commands in scripts.
        broker_s_per_job: CPU seconds of the broker per job.
        node_s_per_job: CPU seconds of the nodes per job.
    """

    commands_per_s: float
    broker_share: float
    node_share: float
    waits_s: Sequence[float]
    commands_per_job: float
    sent_per_job: float
    broker_s_per_job: float
    node_s_per_job: float

    def wait_s(self, percent: float) -> float:
        """Return a percentile of the waits."""
        return float(np.percentile(self.waits_s, percent))


class Arm:
    """Nodes of one pool and transport, and their broker."""

    def __init__(self, app: Celery, client: Any, nodes: Sequence[Child], *, atomic: bool) -> None:
        self.app = app
        self.client = client
        self._nodes = nodes
        self._processes = [psutil.Process(node.process.pid) for node in nodes]
        self._atomic = atomic

    def read(self) -> tuple[Account, float]:
        """Return the work of the broker, and the CPU seconds of the nodes."""
        return Account.of(self.client, atomic=self._atomic), cpu_s(self._processes)

    def await_nodes(self) -> None:
        """Wait until all nodes answer."""
        deadline_s = time.monotonic() + PATIENCE_S
        while len(self.app.control.ping(timeout=0.5, limit=len(self._nodes)) or ()) < len(self._nodes):
            for node in self._nodes:
                node.check()
            if time.monotonic() > deadline_s:
                raise FleetError("The nodes did not answer. The end of a log:\n" + self._nodes[0].tail())

    def await_waits(self, jobs: int) -> list[float]:
        """Wait until all jobs have run; return their waits."""
        deadline_s = time.monotonic() + PATIENCE_S
        while self.client.llen(WAITS) < jobs:
            time.sleep(0.01)
            if time.monotonic() > deadline_s:
                raise FleetError(f"{self.client.llen(WAITS)} jobs of {jobs} ran at a low rate.")
        return [float(wait) for wait in self.client.lrange(WAITS, 0, -1)]


@contextmanager
def open_arms(keys: Sequence[tuple[str, str]], nodes: int = 1) -> Iterator[list[Arm]]:
    """Open for each pool and transport a broker and a number of nodes on it, ready and idle."""
    with ExitStack() as stack:
        processes = stack.enter_context(Processes())
        arms = [_open_arm(stack, processes, pool, transport, nodes) for pool, transport in keys]
        for arm in arms:
            arm.await_nodes()
        for arm in arms:
            _send(arm)  # the first job connects and imports
        for arm in arms:
            arm.await_waits(1)
            arm.client.delete(WAITS)
        time.sleep(SETTLE_S)
        yield arms


def _open_arm(stack: ExitStack, processes: Processes, pool: str, transport: str, nodes: int) -> Arm:
    folder = processes.folder()
    url = start_embedded(processes, folder).url
    children = [
        processes.start(
            f"{pool} node on the {transport} transport",
            [*command(pool), "-n", f"{number}@resting"],
            log=folder / f"{number}.log",
            env=environment(url, transport),
        )
        for number in range(nodes)
    ]
    app, client = stack.enter_context(make_app(url)), redis.Redis.from_url(url)
    return Arm(app, client, children, atomic=transport == "atomic")


def observe(arms: Sequence[Arm], *, idle_s: float, per_s: float, held_s: float) -> list[Rest]:
    """Leave all arms idle for a while, then send each of them jobs at a low rate."""
    jobs = round(per_s * held_s)
    first = [arm.read() for arm in arms]
    time.sleep(idle_s)
    second = [arm.read() for arm in arms]
    _send_evenly(arms, jobs, per_s)
    waits = [arm.await_waits(jobs) for arm in arms]
    third = [arm.read() for arm in arms]
    return [_rest(*readings, idle_s) for readings in zip(first, second, third, waits, strict=True)]


Reading = tuple[Account, float]


def _rest(first: Reading, second: Reading, third: Reading, waits_s: Sequence[float], idle_s: float) -> Rest:
    still, still_node_s = _between(first, second)
    busy, busy_node_s = _between(second, third)
    return Rest(
        commands_per_s=still.commands / idle_s,
        broker_share=still.cpu_s / idle_s,
        node_share=still_node_s / idle_s,
        waits_s=waits_s,
        commands_per_job=busy.commands / len(waits_s),
        sent_per_job=busy.sent / len(waits_s),
        broker_s_per_job=busy.cpu_s / len(waits_s),
        node_s_per_job=busy_node_s / len(waits_s),
    )


def _between(earlier: Reading, later: Reading) -> Reading:
    return later[0].since(earlier[0]), later[1] - earlier[1]


def _send_evenly(arms: Sequence[Arm], jobs: int, per_s: float) -> None:
    """Send to each arm in turn, so that no two jobs run at once."""
    began_s = time.monotonic()
    for turn in range(jobs * len(arms)):
        time.sleep(max(0.0, began_s + turn / (per_s * len(arms)) - time.monotonic()))
        _send(arms[turn % len(arms)])


def _send(arm: Arm) -> None:
    arm.app.send_task("busy.punctual", args=(time.time(),))
