"""A broker with a replica, and sentinels that put the replica in its place when it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import redis

from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet.broker import Broker
from producer.fleet.embedded import EmbeddedServer, answers, free_port, start_server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from producer.fleet.processes import Processes

MASTER = "drill"
SENTINELS, QUORUM = 3, 2
DOWN_MS, FAILOVER_MS = 500, 3000
"""After so long without an answer the broker is down; after so long a failover that came to nothing is tried again."""

READY_S, FAILOVER_S, LOOK_S = 20.0, 20.0, 0.05


class FailoverServers:
    """
    A broker, its replica, and three sentinels of which two must agree.

    Attributes:
        first: The server that is the broker at first.
        broker: The broker as nodes reach it: by its sentinels.
        options: What Celery has to know beside that, as `broker_transport_options`: the name that they have for it.

    Args:
        processes: Starts all, and ends them.
        folder: For what they keep, a folder each.
        aof: Whether broker and replica keep what they have on disk.

    Raises:
        FleetError: If one does not start, or they do not find each other.
    """

    def __init__(self, processes: Processes, folder: Path, *, aof: bool = False) -> None:
        self.options: Mapping[str, str] = {"master_name": MASTER}
        self.first = EmbeddedServer(processes, _made(folder / "first"), aof=aof)
        self._replica = EmbeddedServer(processes, _made(folder / "replica"), aof=aof, follows=self.first)
        self._watchers = [self._sentinel(processes, folder / f"sentinel-{number}") for number in range(SENTINELS)]
        if not until(self._know_all, READY_S, every_s=LOOK_S):
            raise FleetError(f"The sentinels did not find each other in {READY_S:.0f} s. Their logs are in {folder}.")
        login = f":{self.first.password}@"
        urls = [f"sentinel://{login}127.0.0.1:{port}/0" for port in self._watchers]
        shown = f"sentinel://127.0.0.1:{self._watchers[0]}/0"
        self.broker = Broker(url=";".join(urls), shown=f"{shown} (embedded)", embedded=True)

    def client(self) -> redis.Redis:
        """Return a client of the server that the sentinels name."""
        return redis.Redis(port=self._named(), password=self.first.password)

    def wait_for_failover(self) -> None:
        """
        Wait until the replica has the place of the broker.

        Raises:
            FleetError: If it does not come to that.
        """
        if not until(lambda: self._named() == self._replica.port, FAILOVER_S, every_s=LOOK_S):
            raise FleetError(f"The sentinels named no other server in {FAILOVER_S:.0f} s.")

    def _sentinel(self, processes: Processes, folder: Path) -> int:
        port = free_port()
        settings = (
            f"sentinel monitor {MASTER} 127.0.0.1 {self.first.port} {QUORUM}\n"
            f"sentinel auth-pass {MASTER} {self.first.password}\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_MS}\n"
            f"sentinel failover-timeout {MASTER} {FAILOVER_MS}\n"
        )
        child = start_server(processes, _made(folder), port, settings, "--sentinel")
        if not answers(child, port, ""):
            raise FleetError(f"A sentinel did not start. The end of its log:\n{child.tail()}")
        return port

    def _know_all(self) -> bool:
        known = [_asked(port) for port in self._watchers]
        return all(each and each["num-other-sentinels"] == SENTINELS - 1 and each["num-slaves"] == 1 for each in known)

    def _named(self) -> int:
        """Return the port of the server that most sentinels name."""
        ports = [each["port"] for port in self._watchers if (each := _asked(port))]
        return max(set(ports), key=ports.count)


def _asked(port: int) -> dict[str, int]:
    """Return what a sentinel knows of the broker; empty if it does not answer."""
    try:
        with redis.Redis(port=port, socket_timeout=1.0) as client:
            found: dict[str, int] = client.sentinel_master(MASTER)
            return found
    except redis.RedisError:
        return {}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
