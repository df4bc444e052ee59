"""Counts the messages that a channel has delivered; the server has noted them already, so only acks are sent here."""

from __future__ import annotations

from contextlib import suppress
from threading import local
from typing import Any

from poolrace.transport.dead_letters import MALFORMED
from poolrace.transport.kombu_bases import BasicQoS, RedisQoS


class QoS(RedisQoS):  # type: ignore[misc]
    """
    The messages that a channel has delivered and not yet acknowledged.

    Attributes:
        noted_tag: The delivery tag of the message that is just being delivered, if the script has noted it.
    """

    noted_tag: str | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._here = local()
        super().__init__(*args, **kwargs)

    def append(self, message: Any, delivery_tag: str) -> None:
        """Count a message, and note it unless the script did: broadcasts reach a consumer without the script."""
        if delivery_tag == self.noted_tag:
            BasicQoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message: its acknowledgement is sent with the next others."""
        # In this order: a thread that counts the room that this makes must find the acknowledgement that made it.
        try:
            self.channel.acknowledge(delivery_tag)
        finally:  # what could not be sent goes with the next others, and must not fill the window meanwhile
            BasicQoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Drop a message as if acknowledged, or put it back into its queue at once."""
        if not requeue:
            self.ack(delivery_tag)
            return
        self._here.is_requeueing = True
        try:
            self.restore_by_tag(delivery_tag, leftmost=True)
        finally:
            self._here.is_requeueing = False
        BasicQoS.ack(self, delivery_tag)

    @property
    def is_requeueing(self) -> bool:
        """Whether this thread gives a message back, and does not put back what somebody else left."""
        return getattr(self._here, "is_requeueing", False)

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int = 1) -> None:  # noqa: ARG002
        """Put back what others held when they died, at every so manieth call."""
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1) == 0:
            self.channel.restoring.restore(num)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back; one that cannot be put back is set aside, or it would block those behind it."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except MALFORMED as error:
            self.channel.dead_letters.add_noted(tag, error)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Put back the messages that are not acknowledged; first send the acknowledgements of the others."""
        with suppress(*self.channel.connection_errors):
            self.channel.acks.flush()
        super().restore_unacked_once(stderr)
