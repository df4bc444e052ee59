"""The jobs that wait on the broker for a lane: ready in a priority list, or taken by a node and not acknowledged."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kombu.exceptions import InconsistencyError

from poolrace.contract import HEADER, Stamp, WireError
from poolrace.transport_setting import DEAD_LETTER_KEY
from producer.fleet.broker_errors import needing_broker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from celery import Celery
    from kombu import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """
    The number of jobs in a queue.

    Attributes:
        ready: Jobs on the broker, in every priority list, for any node to take.
        unacked: Jobs that a node has taken and not acknowledged.
    """

    ready: int
    unacked: int


def depth(connection: Connection, *queues: str) -> Depth | None:
    """Return how many jobs wait in some queues; None on a broker whose queues cannot be read in place."""
    channel: Any = connection.default_channel
    client = getattr(channel, "client", None)
    if client is None or not hasattr(client, "lrange"):
        return None
    ready = sum(client.llen(key) for key in lists_of(channel, queues))
    return Depth(ready=ready, unacked=sum(1 for _ in _unacked(channel, client, queues)))


def dead_letters(connection: Connection) -> int | None:
    """Return how many messages the atomic transport has set aside; None on a broker that cannot be asked in place."""
    client: Any = getattr(connection.default_channel, "client", None)
    return int(client.llen(DEAD_LETTER_KEY)) if hasattr(client, "lrange") else None


def waiting(app: Celery, queues: Sequence[str], run_id: str, trial: int) -> list[int] | None:
    """
    Return the sequence numbers of a trial's jobs that are still on the broker, ready or unacked.

    Returns:
        Ascending, each once; None on a broker whose queues cannot be read in place.

    Raises:
        FleetError: If the broker is gone.
    """
    with needing_broker(), app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        client = getattr(channel, "client", None)
        if client is None or not hasattr(client, "lrange"):
            return None
        messages = [*_ready(channel, client, queues), *_unacked(channel, client, queues)]
    stamps = (_stamp(message) for message in messages)
    return sorted({s.seq for s in stamps if s is not None and (s.run_id, s.trial) == (run_id, trial)})


def lists_of(channel: Any, queues: Sequence[str]) -> list[str]:
    """Return the Redis lists of the queues: one for each priority."""
    return [channel._q_for_pri(queue, step) for queue in queues for step in channel.priority_steps]  # noqa: SLF001 - kombu has no public name


def goes_to(channel: Any, queue: str, exchange: str, routing_key: str) -> bool:
    """Return whether a message of an exchange and routing key goes to a queue."""
    if routing_key == queue:
        return True
    try:
        table = channel.get_table(exchange) if exchange else ()
    except InconsistencyError:  # no queue is bound to it any more
        return False
    return any(
        bound == queue and (key == routing_key or bool(pattern and re.match(pattern, routing_key)))
        for key, pattern, bound in table
    )


def _ready(channel: Any, client: Any, queues: Sequence[str]) -> Iterator[dict[str, Any]]:
    for key in lists_of(channel, queues):
        for raw in client.lrange(key, 0, -1):
            yield json.loads(raw)


def _unacked(channel: Any, client: Any, queues: Sequence[str]) -> Iterator[dict[str, Any]]:
    for raw in client.hvals(channel.unacked_key):
        message, _exchange, routing_key = json.loads(raw)
        if routing_key in queues:
            yield message


def _stamp(message: dict[str, Any]) -> Stamp | None:
    try:
        return Stamp.from_header(message["headers"][HEADER])
    except (KeyError, WireError):
        return None
