"""Pings the nodes of a lane while a trial runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from producer.errors import FleetError
from producer.fleet.control import ANSWER_S, Control

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poolrace.clock import BrokerClock
    from producer.fleet import Fleet
    from producer.plan.lanes import Lane


PING_EVERY_S = 0.1


class Pinger:
    """Pings a lane's nodes ten times a second, in a thread of its own, while a trial runs."""

    def __init__(self, fleet: Fleet, lane: Lane, trial: int, clock: BrokerClock) -> None:
        self.answers: list[dict[str, Any]] = []
        self._control = Control(fleet.app)
        self._clock = clock
        self._nodes = fleet.nodes(lane)
        self._notes = {"trial": trial, "lane": lane.key}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ping", daemon=True)

    def __enter__(self) -> Pinger:
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._over.wait(PING_EVERY_S):
            for node in self._nodes:
                at = self._clock.now()
                try:
                    rtt_s = self._control.ping_s(node, ANSWER_S)
                except FleetError:
                    return  # the trial's own thread notices and reports it
                self.answers.append({**self._notes, "node": node, "at": at, "rtt_s": rtt_s, "timeout_s": ANSWER_S})

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=5)
        self._control.close()


class NoPinger:
    """A pinger that does not ping."""

    answers: Sequence[Mapping[str, Any]] = ()

    def __init__(self, fleet: Fleet, lane: Lane, trial: int, clock: BrokerClock) -> None:
        del fleet, lane, trial, clock

    def __enter__(self) -> NoPinger:
        return self

    def __exit__(self, *_: object) -> None:
        return None
