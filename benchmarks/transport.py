"""
The capacity of a node on jobs that do nothing: the atomic transport against kombu's, in turns on one broker.

A node finds a backlog; what counts is the middle of it, after its start and before its end.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import redis

from benchmarks.busy import QUEUE, make_app, send, start_node
from benchmarks.figures import Figure, Promise, jobs_per_s
from producer.fleet.broker import start_embedded
from producer.fleet.processes import Processes

if TYPE_CHECKING:
    from pathlib import Path

PROMISES = {"threads": Promise(least=5), "prefork": Promise(least=1.6)}
WARM = 0.2
"""The part of a backlog that is not counted at its beginning, and none at its end but one in ten."""


def measure(*, rounds: int = 3, stock_jobs: int = 2_000, atomic_jobs: int = 8_000) -> list[Figure]:
    """One figure a pool: jobs per second on the atomic transport over jobs per second on kombu's."""
    with Processes() as processes:
        folder = processes.folder()
        url = start_embedded(processes, folder).url
        return [
            Figure.of(
                f"{pool}: no-op jobs/s, atomic / stock",
                [_round(url, pool, folder, turn, stock_jobs, atomic_jobs) for turn in range(rounds)],
                jobs_per_s,
                promise,
            )
            for pool, promise in PROMISES.items()
        ]


def _round(url: str, pool: str, folder: Path, turn: int, stock_jobs: int, atomic_jobs: int) -> tuple[float, float]:
    arms = [("atomic", atomic_jobs), ("stock", stock_jobs)]
    rates = {name: rate(url, pool, name, jobs, folder) for name, jobs in arms[:: -1 if turn % 2 else 1]}
    return rates["atomic"], rates["stock"]


def rate(url: str, pool: str, transport: str, jobs: int, folder: Path) -> float:
    """Jobs per second of one node on one transport."""
    client = redis.Redis.from_url(url)
    client.flushall()
    send(make_app(url), "busy.noop", range(jobs))
    with (folder / "transport.log").open("ab") as log:
        node = start_node(url, pool, transport, log)
    try:
        first, began_s = _when(client, jobs * (1 - WARM))
        last, ended_s = _when(client, jobs * 0.1)
    finally:
        os.killpg(node.pid, signal.SIGKILL)  # what is left of the backlog is of no interest
        node.wait()
    return (first - last) / (ended_s - began_s)


def _when(client: Any, jobs: float) -> tuple[int, float]:
    """How many are left once there are no more than that, and when."""
    deadline = time.monotonic() + 60
    while (left := client.llen(QUEUE)) > jobs:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{left} jobs are left and should have run")
        time.sleep(0.005)
    return left, time.perf_counter()
