"""
Workers of a swarm are scaled through a rise and a fall of load: by the work of their queue, and by its length.

Both at once, each on a service of its own, by the same loop with the same target and the same brakes. Jobs only wait,
so the pool makes no difference to them.
"""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scaling import Autoscaler, follow, turns
from swarm.hosts import HOSTS, SLOTS, Swarm, until
from swarm.load import Load, told

WATCH = Path(__file__).with_name("watch_queues.py").read_text()
BY = {"threads": "work", "prefork": "length"}
LOW_PER_S, HIGH_PER_S, PHASE_S = 0.5, 4.0, 20.0
JOB_S = 1.0
TARGET = 0.75 * SLOTS
MOST = 6
SLO_S = 5.0
WINDOW_S = 5.0
"""A cluster waits 300 s before it takes nodes away, and looks every 15 s; here both are a fifteenth or less of it."""


class Watch:
    """The last that was told of the queues."""

    def __init__(self, swarm: Swarm) -> None:
        self._command = swarm.begin_python(WATCH, *BY)
        self._told: dict[str, dict[str, Any]] = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._command.stdout is not None
        for line in self._command.stdout:
            self._told = json.loads(line)

    def __call__(self, queue: str) -> float | None:
        """The signal of a queue now."""
        return self._told.get(queue, {}).get(BY[queue])

    def close(self) -> None:
        _, err = self._command.communicate("", timeout=30)
        self._reader.join()
        assert self._command.returncode == 0, err


@pytest.fixture
def watch(swarm: Swarm) -> Iterator[Watch]:
    watch = Watch(swarm)
    until(lambda: all(watch(queue) is not None for queue in BY))
    yield watch
    watch.close()
    swarm.scale(len(HOSTS))
    swarm.spread_again()


def test_a_fleet_that_follows_the_work_neither_flaps_nor_is_late_and_one_that_follows_the_length_is(
    swarm: Swarm, watch: Watch
) -> None:
    swarm.scale(1)
    phases = ((LOW_PER_S, PHASE_S / 2), (HIGH_PER_S, PHASE_S), (LOW_PER_S, 0.0))
    loads = {queue: Load(swarm, queues=(queue,), phases=phases, job_s=JOB_S) for queue in BY}
    looks: dict[str, list[tuple[float, float, int]]] = {}

    def scaled(queue: str) -> None:
        autoscaler = Autoscaler(target=TARGET, least=1, most=MOST, window_s=WINDOW_S)
        looks[queue] = follow(
            autoscaler,
            signal=lambda: watch(queue) or 0,
            scale=lambda nodes: swarm.docker("service", "scale", "--detach", f"poolrace_worker-{queue}={nodes}"),
            nodes=1,
            every_s=1.0,
            for_s=2.5 * PHASE_S + 2 * WINDOW_S,
        )

    with loads["threads"], loads["prefork"]:
        followers = [threading.Thread(target=scaled, args=(queue,)) for queue in BY]
        for each in followers:
            each.start()
        for each in followers:
            each.join()
    late = {queue: loads[queue].late(SLO_S) for queue in BY}
    for queue, by in BY.items():
        toll = loads[queue].toll
        told(
            f"scaled by {by}",
            toll,
            turns=turns(looks[queue]),
            nodes=max(n for _, _, n in looks[queue]),
            late=late[queue],
        )
        assert (toll.done, toll.lost, toll.failed) == (toll.sent, 0, 0)
    assert turns(looks["threads"]) == 1
    assert looks["threads"][-1][2] == 1
    assert late["threads"] < late["prefork"]
    # Workers that start slowly, on a busy machine, come so late that there is no time left to flap: then most are late.
    assert turns(looks["prefork"]) > 1 or late["prefork"] > loads["prefork"].toll.sent / 4
