"""A broker that answers, and what a run removes from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kombu import Connection, Exchange, Queue

from poolrace.credentials import hide_password
from producer.errors import FleetError
from producer.fleet.broker_errors import explain, ping_broker

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAccess:
    """
    How a broker is reached.

    Attributes:
        urls: Its URLs, passwords included; the first that answers is taken.
        settings: Celery's settings that say how, e.g. `broker_use_ssl`; empty for none.
    """

    urls: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)


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


def connect(url: str) -> Broker:
    """
    Connect to a broker that already runs.

    Raises:
        FleetError: If it cannot be reached or refuses the login; the message hides the password.
    """
    return connect_to_one(BrokerAccess(urls=(url,)), "--broker")


def connect_to_one(access: BrokerAccess, named_by: str) -> Broker:
    """
    Connect to the first of several addresses that answers.

    Args:
        access: The addresses, and how they are reached.
        named_by: The option that named them.

    Raises:
        FleetError: If none can be reached, or all refuse the login; the message hides passwords.
    """
    failed = []
    for url in access.urls:
        shown = hide_password(url)
        try:
            ping_broker(url, access.settings)
        except Exception as error:  # any client library's, with any of its errors
            value, remedy = explain(error)
            failed.append((f"{named_by} {shown}: {value}. {remedy}", error))
        else:
            return Broker(url=url, shown=shown, embedded=False)
    raise FleetError("\n".join(message for message, _ in failed)) from failed[0][1]


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
