"""A broker that answers, and what a run removes from it."""

from __future__ import annotations

from dataclasses import dataclass

from kombu import Connection, Exchange, Queue

from poolrace.credentials import hide_password
from producer.errors import FleetError
from producer.fleet.broker_errors import explain, ping_broker


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
