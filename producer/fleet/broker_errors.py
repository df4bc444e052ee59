"""Connects to a broker, and explains its errors without showing its password."""

from __future__ import annotations

import re
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import amqp
import redis
from kombu import Connection
from kombu.exceptions import OperationalError
from redis.sentinel import MasterNotFoundError

from producer.errors import FleetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BROKER_TIMEOUT_S = 5.0


def ping_broker(url: str, settings: Mapping[str, Any] = MappingProxyType({})) -> None:
    """
    Connect and log in as a node would, through kombu; on Redis also send PING. Errors are the client library's.

    Args:
        url: The broker's URL.
        settings: Celery's settings that say how it is reached.
    """
    timeouts = {"socket_timeout": BROKER_TIMEOUT_S, "socket_connect_timeout": BROKER_TIMEOUT_S}
    options = timeouts if url.startswith(("redis", "sentinel")) else {}
    # Not Connection.connect(), which tries again after two seconds.
    transport = Connection(
        url,
        connect_timeout=BROKER_TIMEOUT_S,
        ssl=settings.get("broker_use_ssl") or False,
        login_method=settings.get("broker_login_method"),
        transport_options={**(settings.get("broker_transport_options") or {}), **options},
    ).transport
    transport.close_connection(transport.establish_connection())


@contextmanager
def needing_broker() -> Iterator[None]:
    """
    Turn the errors of any broker's client in a block into a `FleetError`.

    Raises:
        FleetError: If the broker is gone, or refuses what is asked of it.
    """
    try:
        yield
    except (OperationalError, redis.RedisError, amqp.AMQPError, ConnectionError) as error:
        raise FleetError(
            _refused(error) or f"The broker is gone ({error}). What was measured so far is kept."
        ) from error


def _refused(error: Exception) -> str:
    """Return what a broker that is there refuses, and what to do; empty if it is gone."""
    cause = _first_cause(error)
    if isinstance(cause, redis.exceptions.NoPermissionError):
        command = (re.findall(r"run the '([^']+)' command", str(cause)) or [""])[0]
        allow = f"ACL SETUSER NAME +{command.replace('|', ' ')}" if command else "ACL SETUSER NAME ~* &*"
        return f"The broker forbids its user what is needed ({cause}). Allow it there: {allow}."
    if isinstance(cause, redis.ResponseError) and not isinstance(cause, redis.exceptions.ClusterError):
        advice = "A queue is a list: is that its name?" if "WRONGTYPE" in str(cause) else "Look into its log."
        return f"The broker refuses a command ({in_short(error)}). {advice}"
    return ""


_WRITE_IT = "redis://:PASSWORD@HOST:6379/0, with special characters percent-encoded."
_MASTER = "broker_transport_options = {'master_name': NAME} in the app's settings."
_EXPLANATIONS: Sequence[tuple[tuple[type[Exception], ...], str, str]] = (
    (
        (redis.AuthenticationError, amqp.AccessRefused),
        "wants a password, or another one",
        f"Put it into the URL: {_WRITE_IT}",
    ),
    (
        (redis.exceptions.NoPermissionError,),
        "answers, but forbids this user to ping it",
        "Allow it on the broker: ACL SETUSER NAME +ping",
    ),
    (
        (MasterNotFoundError,),
        "no sentinel there knows its master",
        f"Start one, or check the master's name: {_MASTER}",
    ),
    ((redis.BusyLoadingError,), "still loads its data", "Try again when it has."),
    ((redis.TimeoutError, TimeoutError), "gave no answer in time", "Check the host, the port, and firewalls between."),
    (
        (redis.ConnectionError, OSError),
        "cannot be reached",
        "Start it, or check the host, the port and, with rediss, TLS.",
    ),
    ((ImportError,), "needs a package that is not installed", "See Celery's list: python -m pip install 'celery[sqs]'"),
    ((ValueError, LookupError), "no valid broker URL", f"Write it as {_WRITE_IT}"),
)


def explain(error: Exception) -> tuple[str, str]:
    """Return what went wrong and what to do, without the library's message, which may quote the URL."""
    if isinstance(error, ValueError) and "master_name" in str(error):
        return "its master is not named", f"Name it: {_MASTER}"
    for kinds, value, remedy in _EXPLANATIONS:
        if isinstance(error, kinds):
            return value, remedy
    return f"refuses with {type(error).__name__}", "Look into its log."


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


FULL = "it is full (Redis's maxmemory) and refuses jobs until there is room"


def in_short(error: BaseException) -> str:
    """Return the first cause of a broker's error, without what its client or we wrapped around it."""
    cause = _first_cause(error)
    return FULL if isinstance(cause, redis.OutOfMemoryError) else str(cause) or type(cause).__name__
