"""
Tells a consumer that a message has come to one of its lists, by one connection for all of them.

The server remembers which keys a connection has asked for, and says on another one when one of them changes
(`CLIENT TRACKING`). So nothing has to wait on each list, and nothing is taken by waiting.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

LASTS_S = 60.0
"""A connection that has said nothing for so long is made anew: one that is cut without a word says nothing, too."""

CHANNEL = "__redis__:invalidate"


class Lookout:
    """
    The connection on which the server says that a list has changed.

    Attributes:
        connection: The connection, under the name that kombu's poller expects of a client.
        asking_id: The server's number of the other connection, which asks.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.asking_id = 0
        self._number = 0
        self._told: Any = None
        self._heard_s = monotonic()

    @property
    def is_open(self) -> bool:
        """True if there is a connection to hear on."""
        return self.connection._sock is not None

    @property
    def is_stale(self) -> bool:
        """True if it has said nothing for so long that it may be cut."""
        return self.is_open and monotonic() - self._heard_s > LASTS_S

    def look_out_for(self, asking: Any) -> None:
        """
        Have the server say when what another connection asks for, after `CLIENT CACHING YES`, changes.

        Raises:
            ResponseError: If the server does not know that, or forbids it.
        """
        if not self.is_open:
            self.connection.connect()
            self._number = _ask(self.connection, "CLIENT", "ID")
            _ask(self.connection, "SUBSCRIBE", CHANNEL)
            self._told, self._heard_s = None, monotonic()
        if self._told is not asking._sock:
            _ask(asking, "CLIENT", "TRACKING", "ON", "REDIRECT", self._number, "OPTIN", "NOLOOP")
            self.asking_id = _ask(asking, "CLIENT", "ID")
            self._told = asking._sock

    def hear(self) -> None:
        """
        Read one message, once the socket has something to read; which key it names does not matter.

        An error leaves the socket open: it has to be taken out of the poll first, where a child of this process may
        have it, too.
        """
        self.connection.read_response(disconnect_on_error=False)
        self._heard_s = monotonic()

    def close(self) -> None:
        """Give up the connection."""
        self._told = None
        self.connection.disconnect()


def _ask(connection: Any, *command: Any) -> Any:
    connection.send_command(*command)
    return connection.read_response()
