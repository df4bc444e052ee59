"""Publishes messages to the records queues of runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kombu import Connection, Producer, Queue

from poolrace.clock import broker_offset
from poolrace.contract import NO_OFFSET, ClockOffset, records_queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Celery

CLOCK_EVERY_S = 10.0
QUEUE_EXPIRES_S = 120.0
"""The broker forgets a records queue that nobody has read or written for this long, whatever became of its reader."""


class RecordsSender:
    """
    A connection of its own to the broker, made when it is needed and again after it was closed.

    Args:
        app: The node's app, which knows its broker.
        monotonic: A clock that nobody can set, in seconds.
    """

    def __init__(self, app: Celery, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._monotonic = monotonic
        self._connection: Connection | None = None
        self._producer: Any = None
        self._declared: set[str] = set()
        self._clock = NO_OFFSET
        self._clock_due_s = 0.0

    def clock(self) -> ClockOffset:
        """Return the offset of this node's clock to the broker's, measured anew every now and then."""
        producer = self._connected()
        if self._monotonic() >= self._clock_due_s:
            self._clock_due_s = self._monotonic() + CLOCK_EVERY_S
            self._clock = broker_offset(producer.connection)
        return self._clock

    def send(self, run_id: str, body: bytes) -> None:
        """Publish to the records queue of a run. Raises whatever kombu raises if the broker is away."""
        producer, queue = self._connected(), records_queue(run_id)
        if queue not in self._declared:
            Queue(queue, exchange="", expires=QUEUE_EXPIRES_S, durable=False)(producer.channel).declare()
            self._declared.add(queue)
        producer.publish(
            body,
            exchange="",
            routing_key=queue,
            content_type="application/data",
            content_encoding="binary",
            delivery_mode=1,
        )

    def close(self) -> None:
        """Give up the connection; the next message makes a new one."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.release()

    def _connected(self) -> Any:
        if self._producer is None:
            self._connection = self._app.connection_for_write()
            self._producer = Producer(self._connection)
            self._declared.clear()
        return self._producer
