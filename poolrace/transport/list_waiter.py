"""Waits for a message without taking it."""

from __future__ import annotations

from time import monotonic
from typing import Any


class ListWaiter:
    """
    A connection that waits on one list and leaves its messages where they are.

    `BLMOVE key key RIGHT RIGHT` moves the next message from the end of the list to the same end, in one step, so that a
    consumer that dies meanwhile holds nothing.

    Attributes:
        key: The list.
        connection: The connection, under the name that kombu's poller expects of a client.
        sent_at: When the wait that is under way began, on the monotonic clock; None between waits.
        timeout_s: The length of a wait.
    """

    def __init__(self, key: str, connection: Any) -> None:
        self.key = key
        self.connection = connection
        self.sent_at: float | None = None
        self.timeout_s = 0.0

    def start(self, timeout_s: float) -> None:
        """Begin to wait."""
        self.connection.send_command("BLMOVE", self.key, self.key, "RIGHT", "RIGHT", timeout_s)
        self.sent_at, self.timeout_s = monotonic(), timeout_s

    def finish(self) -> bool:
        """End a wait, once the socket has something to read, and return whether there is a message."""
        self.sent_at = None
        return self.connection.read_response() is not None

    def is_overdue(self, grace_s: float) -> bool:
        """Check whether the server should have answered long ago."""
        return self.sent_at is not None and monotonic() - self.sent_at > self.timeout_s + grace_s

    def close(self) -> None:
        """Give up the wait and the connection."""
        self.sent_at = None
        self.connection.disconnect()
