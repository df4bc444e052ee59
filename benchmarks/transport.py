"""
The atomic transport against kombu's: the capacity of a node on jobs that do nothing, the commands that its broker sees,
its cost while it is idle, and the wait of a job at a low rate.

For capacity, one node after the other gets a backlog on the same broker; only the middle of it counts, after its start
and before its end. The rest is measured on both transports at the same time, see `benchmarks.resting`.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import redis

from benchmarks.account import Account, cpu_s
from benchmarks.busy import QUEUE, TRANSPORTS, make_app, send, start_node
from benchmarks.figures import Figure, Promise, jobs_per_s
from benchmarks.resting import observe, open_arms
from producer.errors import FleetError
from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes
from producer.report.formats import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.resting import Rest

PROMISES = {"threads": Promise(least=5), "prefork": Promise(least=1.6)}
COMMANDS = Promise(most=3)
AS_STOCK = Promise(most=1.1)
"""No more than kombu's; two nodes of one program differ by nearly a tenth as long as they run."""

HELD_PER_S = 10
HERD = 8
WARM = 0.2
"""The part of a backlog that does not count at its beginning; the last tenth does not count either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """
    The middle of a backlog on one node.

    Attributes:
        jobs_per_s: Jobs per second.
        commands_per_job: Commands to the broker per job, those in scripts too, without publishing.
        node_s_per_job: CPU seconds of the node per job.
    """

    jobs_per_s: float
    commands_per_job: float
    node_s_per_job: float


def measure(
    *,
    busy_rounds: int = 5,
    rounds: int = 3,
    stock_jobs: int = 2_000,
    atomic_jobs: int = 12_000,
    idle_s: float = 60.0,
    held_s: float = 60.0,
    herd: int = HERD,
) -> list[Figure]:
    """Measure each pool, and many nodes on one queue."""
    jobs = {"stock": stock_jobs, "atomic": atomic_jobs}
    return [*_busy(busy_rounds, jobs), *_resting(rounds, idle_s, held_s), *_herd(herd, held_s)]


# Busy


def _busy(rounds: int, jobs: dict[str, int]) -> list[Figure]:
    with Processes() as processes:
        folder = processes.folder()
        url = start_embedded(processes, folder).url
        return [
            figure
            for pool in PROMISES
            for figure in _busy_figures(pool, [_pair(url, pool, jobs, folder, turn) for turn in range(rounds)])
        ]


def _pair(url: str, pool: str, jobs: dict[str, int], folder: Path, turn: int) -> dict[str, Work]:
    """Give each transport a turn; which goes first alternates between rounds."""
    return {name: work(url, pool, name, jobs[name], folder) for name in list(TRANSPORTS)[:: -1 if turn % 2 else 1]}


def _busy_figures(pool: str, pairs: Sequence[dict[str, Work]]) -> list[Figure]:
    rates = [(pair["atomic"].jobs_per_s, pair["stock"].jobs_per_s) for pair in pairs]
    atomic = [(pair["atomic"].commands_per_job, 1.0) for pair in pairs]
    stock = [(pair["stock"].commands_per_job, 1.0) for pair in pairs]
    costs = [(pair["atomic"].node_s_per_job, pair["stock"].node_s_per_job) for pair in pairs]
    return [
        Figure.of(f"{pool}: no-op jobs/s, atomic / stock", rates, jobs_per_s, PROMISES[pool]),
        Figure.of(f"{pool}: CPU time of a busy node a job, atomic / stock", costs, _milliseconds),
        Figure.of(f"{pool}: commands to the broker / jobs, atomic", atomic, number, COMMANDS),
        Figure.of(f"{pool}: commands to the broker / jobs, stock", stock, number),
    ]


def work(url: str, pool: str, transport: str, jobs: int, folder: Path) -> Work:
    """Measure one node on one transport."""
    client = redis.Redis.from_url(url)
    client.flushall()
    send(make_app(url), "busy.noop", range(jobs))
    with (folder / "transport.log").open("ab") as log:
        node = start_node(url, pool, transport, log)
    try:
        first, began_s = _wait_for(client, jobs * (1 - WARM))
        before, before_s = Account.of(client, atomic=transport == "atomic"), cpu_s([psutil.Process(node.pid)])
        last, ended_s = _wait_for(client, jobs * 0.1)
        commands = Account.of(client, atomic=transport == "atomic").since(before).commands
        node_s = cpu_s([psutil.Process(node.pid)]) - before_s
    finally:
        os.killpg(node.pid, signal.SIGKILL)  # the rest of the backlog is not needed
        node.wait()
    done = first - last
    return Work(jobs_per_s=done / (ended_s - began_s), commands_per_job=commands / done, node_s_per_job=node_s / done)


def _wait_for(client: Any, jobs: float) -> tuple[int, float]:
    """Wait until no more than some jobs are left; return how many are, and the time."""
    deadline = time.monotonic() + 60
    while (left := client.llen(QUEUE)) > jobs:
        if time.monotonic() > deadline:
            raise FleetError(f"{left} jobs are left and should have run.")
        time.sleep(0.005)
    return left, time.perf_counter()


# At rest


def _resting(rounds: int, idle_s: float, held_s: float) -> list[Figure]:
    keys = [(pool, transport) for pool in PROMISES for transport in ("atomic", "stock")]
    found = []
    for _ in range(rounds):
        with open_arms(keys) as arms:
            found.append(dict(zip(keys, observe(arms, idle_s=idle_s, per_s=HELD_PER_S, held_s=held_s), strict=True)))
    return [
        figure
        for pool in PROMISES
        for figure in _resting_figures(pool, [(rests[pool, "atomic"], rests[pool, "stock"]) for rests in found])
    ]


def _resting_figures(pool: str, pairs: Sequence[tuple[Rest, Rest]]) -> list[Figure]:
    def figure(
        what: str, read: Callable[[Rest], float], show: Callable[[float], str], promise: Promise | None
    ) -> Figure:
        rounds = [(read(atomic), read(stock)) for atomic, stock in pairs]
        return Figure.of(f"{pool}: {what}, atomic / stock", rounds, show, promise)

    return [
        figure("commands/s of an idle node", lambda rest: rest.commands_per_s, number, AS_STOCK),
        figure("CPU time of its broker", lambda rest: rest.broker_share, _percent, AS_STOCK),
        figure("CPU time of an idle node", lambda rest: rest.node_share, _percent, AS_STOCK),
        figure(f"wait at {HELD_PER_S} jobs/s, p50", lambda rest: rest.wait_s(50), _milliseconds, AS_STOCK),
        figure(f"wait at {HELD_PER_S} jobs/s, p99", lambda rest: rest.wait_s(99), _milliseconds, AS_STOCK),
        figure(f"commands sent a job at {HELD_PER_S} jobs/s", lambda rest: rest.sent_per_job, number, AS_STOCK),
        # No promise: to read four lists, one step takes more commands within the script than kombu's transport sends.
        figure("the same with those in scripts", lambda rest: rest.commands_per_job, number, None),
    ]


def _percent(share: float) -> str:
    return f"{share:.2%} of a core"


def _milliseconds(value_s: float) -> str:
    return f"{number(value_s * 1e3)} ms"


# Many at rest


def _herd(nodes: int, held_s: float) -> list[Figure]:
    """Measure the cost of a job for many idle nodes that share a queue. Only for information: nothing is promised."""
    rests = {}
    for transport in ("atomic", "stock"):
        with open_arms([("threads", transport)], nodes) as arms:
            [rests[transport]] = observe(arms, idle_s=1.0, per_s=HELD_PER_S, held_s=held_s)
    pair = rests["atomic"], rests["stock"]
    name = f"{nodes} nodes on a queue, {HELD_PER_S} jobs/s:"
    return [
        Figure.of(f"{name} commands a job, atomic / stock", [_both(pair, "commands_per_job")], number),
        Figure.of(f"{name} CPU of the broker a job, atomic / stock", [_both(pair, "broker_s_per_job")], _milliseconds),
        Figure.of(f"{name} CPU of the nodes a job, atomic / stock", [_both(pair, "node_s_per_job")], _milliseconds),
    ]


def _both(pair: tuple[Rest, Rest], name: str) -> tuple[float, float]:
    atomic, stock = (getattr(rest, name) for rest in pair)
    return atomic, stock
