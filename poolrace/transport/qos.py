"""What a channel holds. The server has noted it already, so only acknowledgements are sent from here."""

from __future__ import annotations

from typing import Any

from poolrace.transport.kombu_bases import BasicQoS, RedisQoS

UNFIT = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What a message that has not kombu's form leads to, when it is read or put back; no error of a server is one."""


class QoS(RedisQoS):  # type: ignore[misc]
    """The messages that a channel has delivered and not yet acknowledged."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Count a message, and note it unless the script did: broadcasts reach a consumer without the script."""
        if delivery_tag == self.channel.noted_tag:
            BasicQoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Done with a message: its acknowledgement goes with the next others."""
        # In this order: whoever counts the room that this makes must find the acknowledgement that made it.
        try:
            self.channel.acknowledge(delivery_tag)
        finally:  # what could not be sent goes with the next others, and must not fill the window meanwhile
            BasicQoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Done with a message, or not: then it goes back to its queue at once."""
        if not requeue:
            self.ack(delivery_tag)
            return
        self.restore_by_tag(delivery_tag, leftmost=True)
        BasicQoS.ack(self, delivery_tag)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back; what cannot be put back is set aside, or it would block what waits behind it."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except UNFIT as error:
            self.channel.set_aside_noted(tag, error)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Put back what is not acknowledged; what is must not be run again."""
        self.channel.flush()
        super().restore_unacked_once(stderr)
