"""
Hears from the server that a list has changed, on the connection that asks for messages.

The server remembers which keys a connection has asked for, and says there when one of them changes (`CLIENT TRACKING`,
by the pushes of RESP3). So nothing has to wait on each list, and nothing is taken by waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PUSHED = object()
"""What a connection returns for a message that answers nothing."""

_CHANGE = (b"invalidate", "invalidate")
_BEGIN: Sequence[tuple[str, ...]] = (("CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"), ("CLIENT", "ID"))


class Lookout:
    """
    What a connection is told of changes.

    Args:
        on_change: Called for each change; which key it names does not matter.

    Attributes:
        asking_id: The server's number of the connection.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.asking_id = 0
        self._on_change = on_change
        self._heard: Any = None
        self._told: Any = None

    def is_told_by(self, connection: Any) -> bool:
        """Check whether the server tells a connection of changes."""
        return self._told is not None and self._told is connection._sock

    def look(self, connection: Any, keys: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the commands by which a connection looks at keys, and is told when one of them changes."""
        begin = [] if self.is_told_by(connection) else _BEGIN
        self._hear(connection)
        return [*begin, ("CLIENT", "CACHING", "YES"), ("EXISTS", *keys)]

    def accept(self, connection: Any, answers: Sequence[Any]) -> int:
        """Read the answers to `look`; return how many of the keys are there."""
        if len(answers) > len(_BEGIN):
            self._told, self.asking_id = connection._sock, answers[1]
        return int(answers[-1])

    def read(self, connection: Any) -> Any:
        """Read an answer, or `PUSHED`. An error of the connection leaves it open."""
        is_heard = self._heard is not None and self._heard is connection._sock
        response = connection.read_response(disconnect_on_error=False, push_request=is_heard)
        # An older client has no type of its own for it.
        if isinstance(response, list) and response and response[0] in _CHANGE:
            self._on_change()
            return PUSHED
        return response

    def _hear(self, connection: Any) -> None:
        """Have the connection call for each push, even where it is waiting for something else, as for its own ping."""
        if connection._sock is None:
            connection.connect()
        if self._heard is connection._sock:
            return
        self._heard = connection._sock
        parser = connection._parser
        handle = getattr(type(parser), "handle_push_response", None)
        if handle is None:  # an older one hands a push over like an answer
            return

        def heard(response: Sequence[Any], *args: Any, **kwargs: Any) -> object:
            if response[0] in _CHANGE:
                self._on_change()
            else:
                handle(parser, response, *args, **kwargs)
            return PUSHED

        parser.handle_push_response = heard
