"""
The cost of a drill's ledger: the throughput of jobs that note their effects against that of the same jobs without.

Both kinds run on one node, in turn, so that nothing differs but the notes.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from benchmarks.figures import Figure, Promise, jobs_per_s
from producer.deadlines import until
from producer.errors import FleetError
from producer.measure.drilled import QUEUE
from producer.measure.scene import Scene
from producer.plan.drill import Drill, cells

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMISE = Promise(least=0.95)
POOLS = ("prefork", "threads")
NOTED, UNNOTED = "drill.wait", "drill.rest"
JOB_S, PATIENCE_S = 0.01, 60.0


def measure(*, pools: Sequence[str] = POOLS, rounds: int = 10, jobs: int = 300) -> list[Figure]:
    """Give a node of each pool both kinds of jobs in turn."""
    return [
        Figure.of(
            f"{pool}: throughput of jobs of 10 ms with the ledger / without",
            _measure_pool(pool, rounds, jobs),
            jobs_per_s,
            PROMISE,
        )
        for pool in pools
    ]


def _measure_pool(pool: str, rounds: int, jobs: int) -> list[tuple[float, float]]:
    drill = Drill(title="No fault.", documented="", source="", visibility_s=600)
    with tempfile.TemporaryDirectory() as logs, Scene(cells((pool,))[0], drill, Path(logs)) as scene:
        scene.start_node()
        for task in (NOTED, UNNOTED):
            _turn(scene, task, jobs)  # first connections count for nothing
        return [_pair(scene, number, jobs) for number in range(rounds)]


def _pair(scene: Scene, number: int, jobs: int) -> tuple[float, float]:
    order = (NOTED, UNNOTED) if number % 2 else (UNNOTED, NOTED)
    found = {task: _turn(scene, task, jobs) for task in order}
    return found[NOTED], found[UNNOTED]


def _turn(scene: Scene, task: str, jobs: int) -> float:
    """Send jobs, and return their number per second until the broker has none left."""
    began_s = time.perf_counter()
    for _ in range(jobs):
        scene.sender.send(task, JOB_S)
    with redis.Redis.from_url(scene.server.broker.url) as client:

        def is_empty() -> bool:
            with client.pipeline() as pipe:
                return not sum(pipe.llen(QUEUE).hlen("unacked").execute())

        if not until(is_empty, PATIENCE_S, every_s=0.001):
            raise FleetError(f"{task}: jobs are still on the broker after {PATIENCE_S:.0f} s.")
    return jobs / (time.perf_counter() - began_s)
