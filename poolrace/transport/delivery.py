"""Hands the messages that a channel holds to its consumers, a few milliseconds at a time."""

from __future__ import annotations

from collections import deque
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any

from kombu.log import get_logger
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from poolrace.transport.dead_letters import MALFORMED
from poolrace.transport.renewal import copied

if TYPE_CHECKING:
    from poolrace.transport.dead_letters import DeadLetters
    from poolrace.transport.script import PendingMessage

logger = get_logger(__name__)

DELIVER_FOR_S = 0.005
"""After this long the event loop has its turn: on the solo pool, to deliver a message is to run its job."""


class Delivery:
    """
    The messages that a channel holds and has not delivered yet.

    Args:
        channel: Its `qos` counts what is delivered, its `connection` knows the consumers.
        dead_letters: Takes the messages that cannot be delivered.
    """

    def __init__(self, channel: Any, dead_letters: DeadLetters) -> None:
        self._channel = channel
        self._dead_letters = dead_letters
        self._pending: deque[PendingMessage] = deque()
        self._thread: int | None = None

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def is_in_this_thread(self) -> bool:
        """True if the caller is called by a consumer that is just handed a message."""
        return self._thread == get_ident()

    @property
    def is_under_way(self) -> bool:
        """True while a consumer is handed a message; on the solo pool, while its job runs."""
        return self._thread is not None

    def tags(self) -> list[str]:
        """Return the delivery tags of the messages that are noted. Any thread may ask."""
        return [message.tag for message in copied(self._pending) if message.tag]

    def add(self, message: PendingMessage) -> None:
        """Keep a message until it is delivered."""
        self._pending.append(message)

    def deliver(self) -> None:
        """
        Deliver for a few milliseconds; the rest follows once the server has answered again.

        Without an event loop one message is delivered: who drains events one by one counts on it.
        """
        connection = self._channel.connection
        hub = None if connection is None else connection.cycle.hub
        until = monotonic() + (DELIVER_FOR_S if hub else 0)
        qos = self._channel.qos
        self._thread = get_ident()
        try:
            while self._pending and self._channel.connection is not None:
                message = self._pending.popleft()
                left_to_loop = len(hub._ready) if hub else 0
                self._deliver(message)
                if monotonic() >= until or (hub and _is_done_already(message, hub, left_to_loop)):
                    break
        finally:
            self._thread = qos.noted_tag = None

    def deliver_guarded(self) -> None:
        """Deliver where the event loop does not catch what a consumer raises, as it does for a socket."""
        try:
            self.deliver()
        except self._channel.connection_errors:
            raise
        except Exception:
            logger.exception("a consumer failed on a message")

    def requeue_all(self) -> None:
        """Put every message back into its queue."""
        # From the last one, so that they stand in their old order.
        while self._pending:
            self._requeue(self._pending.pop())

    def requeue(self, queue: str) -> None:
        """Put the messages of one queue back into it."""
        ours = [message for message in self._pending if message.queue == queue]
        self._pending = deque(message for message in self._pending if message.queue != queue)
        while ours:
            self._requeue(ours.pop())

    def _deliver(self, message: PendingMessage) -> None:
        channel = self._channel
        if message.queue not in channel.connection._callbacks:
            self._requeue(message)  # its consumer was cancelled while it was on its way
            return
        try:
            payload = loads(bytes_to_str(message.raw))
        except MALFORMED as error:
            self._dead_letters.add(message, error)
            return
        channel.qos.noted_tag = message.tag
        try:
            channel.connection._deliver(payload, message.queue)
        except channel.connection_errors:
            raise
        except Exception as error:
            if not message.tag or message.tag in channel.qos._delivered:
                raise
            # It never became a message of kombu's, so nobody would acknowledge it.
            self._dead_letters.add(message, error)

    def _requeue(self, message: PendingMessage) -> None:
        if message.tag:
            self._channel.qos.restore_by_tag(message.tag)
        else:
            self._channel.raw_client().rpush(message.list_key, message.raw)


def _is_done_already(message: PendingMessage, hub: Any, left_to_loop: int) -> bool:
    """
    Check whether a job has ended within its delivery, as on the solo pool.

    Its acknowledgement waits for the event loop, and has to be sent before the next job runs.

    Args:
        message: What was just delivered.
        hub: The event loop.
        left_to_loop: How many calls waited for it before. Only it removes any, and it is what delivers.
    """
    if len(hub._ready) == left_to_loop:
        return False
    soon = [getattr(item, "fun", None) for item in list(hub._ready)]
    return message.tag in (getattr(getattr(function, "__self__", None), "delivery_tag", None) for function in soon)
