"""
The cost of a race for a user's own app: the capacity of a node that Poolrace has redirected against that of a node of
the same app as its owner starts it, on the same stored messages in turn.

Two nodes of one program differ by a few percent as long as they run, whatever they run; and how their memory is laid
out differs by the environment that they were given, always in the same way: an empty folder on PYTHONPATH made the
redirected node's figure 0.98 in place of 0.95. So there are many starts, each with both nodes, and each with another
environment, as the environments of users differ (Mytkowicz et al., "Producing wrong data without doing anything
obviously wrong!", ASPLOS 2009).
"""

from __future__ import annotations

import os
import random
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from celery import Celery
from kombu import Producer

from benchmarks.figures import Figure, Promise, jobs_per_s
from benchmarks.stamping import ASK_S, LEAST_S_PER_JOB, PATIENCE_S, Node, await_node
from poolrace.ownapp.redirect import Redirect
from producer.errors import FleetError
from producer.fleet.control import Control
from producer.fleet.embedded import start_embedded
from producer.fleet.environment import app_environment
from producer.fleet.local import OWN_APP_NODE
from producer.fleet.processes import Processes
from producer.measure.collector import Collector
from producer.measure.order import Order
from producer.measure.schedule import send_when_due
from producer.measure.sender import JobSender
from producer.ownapp.introspect import ask
from producer.plan.arrivals import backlog
from producer.plan.lanes import Lane

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMISE = Promise(least=0.97)
POOLS = ("prefork", "threads")
SLOTS = 4
APP = "shop.celery:app"
TASK = "shop.tasks.invoice"
"""About a millisecond of work: short enough to show what is added to a job."""

FOLDER = Path(__file__).parents[1] / "examples" / "shop"
PLAIN, REDIRECTED = "plain", "redirected"
MAX_FOLDERS, MAX_PADDING = 5, 4000
"""An environment has up to so many empty folders on PYTHONPATH, and a variable with up to so many letters."""

SHELF = "shelf"
RUN_ID = "00" * 8


def measure(
    *, pools: Sequence[str] = POOLS, starts: int = 16, rounds: int = 4, jobs: int = 500, seed: int = 1
) -> list[Figure]:
    """Start both nodes of each pool several times, each time in another environment, and alternate between them."""
    chance = random.Random(seed)
    return [
        Figure.of(
            f"{pool}: capacity of an app raced from outside / of the same app alone",
            [pair for _ in range(starts) for pair in _measure_start(pool, rounds, jobs, chance)],
            jobs_per_s,
            PROMISE,
        )
        for pool in pools
    ]


def _measure_start(pool: str, rounds: int, jobs: int, chance: random.Random) -> list[tuple[float, float]]:
    with ExitStack() as stack:
        bench = _Bench(stack, pool, jobs, chance)
        for name in (PLAIN, REDIRECTED):
            bench.turn(name)  # first connections count for nothing
        return [bench.pair(number) for number in range(rounds)]


class _Bench:
    """A broker, both nodes, and a stored backlog."""

    def __init__(self, stack: ExitStack, pool: str, jobs: int, chance: random.Random) -> None:
        processes = stack.enter_context(Processes())
        folder = processes.folder()
        broker = start_embedded(processes, folder)
        app = stack.enter_context(Celery("benchmark", broker=broker.url, set_as_current=False))
        connection = stack.enter_context(app.connection_for_write())
        channel: Any = connection.default_channel
        self._client = channel.client
        self._jobs = jobs
        _fill_shelf(app, connection, jobs)
        redirect = Redirect(app=APP, broker_url=broker.url, queue=REDIRECTED, acks="early")
        own = {**app_environment(os.environ), **_varied(folder, chance), "CELERY_BROKER_URL": broker.url}
        for name, code, environment in (
            (PLAIN, APP, own),
            (REDIRECTED, OWN_APP_NODE, {**own, **redirect.environment()}),
        ):
            lane = Lane(key=name, pool=pool, slots=SLOTS)
            command = [
                sys.executable, "-m", "celery", "-A", code, "worker", *lane.worker_flags(), "-n", f"{name}@benchmark",
                "-Q", name, "--without-gossip", "--without-mingle", "--loglevel", "WARNING",
            ]  # fmt: skip
            log = folder / f"{name}.log"
            child = processes.start(f"node {name}", command, cwd=FOLDER, env=environment, log=log)
            await_node(
                app, Node(name=f"{name}@benchmark", queue=name, process=psutil.Process(child.process.pid)), child
            )
        self._collector = stack.enter_context(Collector(app, RUN_ID, lane_of={}))
        control = Control(app)
        stack.callback(control.close)
        control.hello(RUN_ID, [f"{REDIRECTED}@benchmark"])

    def pair(self, number: int) -> tuple[float, float]:
        """Give each node a turn; which goes first alternates between rounds."""
        first, second = (PLAIN, REDIRECTED) if number % 2 else (REDIRECTED, PLAIN)
        found = {name: self.turn(name) for name in (first, second)}
        return found[REDIRECTED], found[PLAIN]

    def turn(self, name: str) -> float:
        """Give a node the backlog; return its jobs per second until the broker has none left."""
        self._collector.expect(0, self._jobs if name == REDIRECTED else 0)
        began_s = time.perf_counter()
        self._client.copy(SHELF, name)
        while left := self._left(name):
            if time.perf_counter() - began_s > PATIENCE_S:
                raise FleetError(f"{left} of {self._jobs} jobs are still on the broker after {PATIENCE_S:.0f} s.")
            time.sleep(max(ASK_S, left * LEAST_S_PER_JOB))
        took_s = time.perf_counter() - began_s
        deadline_s = time.monotonic() + PATIENCE_S
        while self._collector.missing:
            self._collector.poll(ASK_S)
            if time.monotonic() > deadline_s:
                raise FleetError(f"{name} sent no record of {self._collector.missing} of its jobs.")
        return self._jobs / took_s

    def _left(self, queue: str) -> int:
        with self._client.pipeline() as pipe:
            return sum(pipe.llen(queue).hlen("unacked").execute())


def _varied(folder: Path, chance: random.Random) -> dict[str, str]:
    """Return variables that change nothing but how the memory of a process is laid out."""
    empty = [folder / f"empty-{number}" for number in range(chance.randint(0, MAX_FOLDERS))]
    for each in empty:
        each.mkdir()
    padding = {"PADDING": "x" * chance.randint(0, MAX_PADDING)}
    return {**padding, "PYTHONPATH": os.pathsep.join(map(str, empty))} if empty else padding


def _fill_shelf(app: Celery, connection: Any, jobs: int) -> None:
    own_app = ask(
        APP, folder=FOLDER, jobs=str(FOLDER / "jobs.jsonl"), tasks=[TASK], python="", environment=os.environ,
        seed=1, timeout_s=60.0, keep_backend=False, patience_s=30.0,
    )  # fmt: skip
    (sent,) = own_app.jobs.values()
    order = Order(run_id=RUN_ID, trial=0, calls=sent.calls, queue=SHELF, plan=backlog(jobs))
    send_when_due(order, start_at=time.time(), part=(0, 1), send=JobSender(app, Producer(connection)).send)
