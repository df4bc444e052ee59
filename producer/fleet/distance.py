"""The distance of nodes to their broker: relays that make it, and how far it is by measurement."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from kombu import Connection

from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet.broker_errors import needing_broker
from producer.plan.distance import PORTS, rtt_s
from producer.rundir.manifest import Distance

if TYPE_CHECKING:
    from pathlib import Path

    from producer.fleet.processes import Child, Processes
    from producer.plan.lanes import Lane

RELAY = "producer.fleet.relay"
READY_S = 10.0
LEAST_PINGS, PINGED_S = 5, 0.25
"""How many questions are asked at least, and for how long: one moment of a busy machine is not the distance."""


@dataclass(frozen=True, slots=True)
class _Relayed:
    """A relay that runs, the URL by which it is reached, and what was measured when it was new."""

    child: Child
    url: str
    found: Distance


class Distances:
    """
    The distances of a run's lanes to its broker, with a relay for each lane that has one.

    Args:
        processes: Starts the relays and ends them.
        logs: The folder for what they print.
        broker_url: The broker's URL as what sends reaches it.
    """

    def __init__(self, processes: Processes, logs: Path, broker_url: str) -> None:
        self._processes = processes
        self._logs = logs
        self._broker_url = broker_url
        self._relays: dict[str, _Relayed] = {}
        self._direct: dict[str, Distance] = {}

    def url(self, lane: Lane) -> str:
        """
        Return the URL by which a lane's nodes reach the broker; a relay is started when it is first asked for.

        Raises:
            FleetError: If the relay does not start, or the broker does not answer.
        """
        asked_s = rtt_s(lane.settings)
        if asked_s is None:
            return self._broker_url
        if not asked_s:
            if lane.key not in self._direct:
                self._direct[lane.key] = self._measured(lane, 0.0, self._broker_url)
            return self._broker_url
        if lane.key not in self._relays:
            self._relays[lane.key] = self._start(lane, asked_s)
        return self._relays[lane.key].url

    def found(self) -> list[Distance]:
        """Return the distance of each lane that has one, with what its relay has cost so far."""
        return [*self._direct.values(), *(_with_cost(each) for each in self._relays.values())]

    def _start(self, lane: Lane, asked_s: float) -> _Relayed:
        parts = urlsplit(self._broker_url)
        host, port = parts.hostname or "127.0.0.1", parts.port or PORTS[parts.scheme]
        log = self._logs / f"relay-{lane.key}.log"
        child = self._processes.start(
            f"relay of {lane.key}", [sys.executable, "-P", "-m", RELAY, host, str(port), repr(asked_s)], log=log
        )

        def listening() -> re.Match[str] | None:
            child.check()
            return re.search(r"^listening on (\d+)\n", child.said(), re.MULTILINE)

        found = until(listening, READY_S, every_s=0.02)
        if found is None:
            raise FleetError(f"The relay of {lane.key} did not start in {READY_S:.0f} s; its log is {log}.")
        login, at, _ = parts.netloc.rpartition("@")
        url = urlunsplit(parts._replace(netloc=f"{login}{at}127.0.0.1:{found[1]}"))
        return _Relayed(child, url, self._measured(lane, asked_s, url))

    def _measured(self, lane: Lane, asked_s: float, url: str) -> Distance:
        direct_s = round_trip_s(self._broker_url)
        return Distance(
            lane=lane.key, rtt_s=asked_s, ping_s=round_trip_s(url) if asked_s else direct_s, direct_s=direct_s
        )


def _with_cost(relayed: _Relayed) -> Distance:
    """Return what was measured, and the last that the relay told of its cost; without that if it carried nothing."""
    told = re.findall(r"^(\{.*\})\n", relayed.child.said(), re.MULTILINE)
    return replace(relayed.found, **json.loads(told[-1])) if told else relayed.found


def round_trip_s(url: str) -> float:
    """
    Measure how long a broker takes to answer the smallest question, in seconds: a PING, or `basic.qos` of AMQP.

    It is the median of several on one connection.

    Raises:
        FleetError: If the broker cannot be reached.
    """
    with needing_broker(), Connection(url) as connection:
        channel: Any = connection.default_channel
        client = getattr(channel, "client", None)
        took_s: list[float] = []
        while len(took_s) < LEAST_PINGS or sum(took_s) < PINGED_S:
            began_s = time.perf_counter()
            if client is not None:
                client.ping()
            else:
                channel.basic_qos(0, 1, False)
            took_s.append(time.perf_counter() - began_s)
    return median(took_s)
