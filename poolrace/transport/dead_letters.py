"""Sets aside messages that cannot be delivered, with the reason, so that none blocks its queue."""

from __future__ import annotations

from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any

from kombu.log import get_logger
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

from poolrace.transport.script import MAX_DEAD, BrokenMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from poolrace.transport.script import PendingMessage, ServerKeys

logger = get_logger(__name__)

HISTORY = "x-lost"
"""
The header in which a message carries how often it was lost.

Each time is a pair: the last sign of life of the node that held it, and when it was put back, in seconds since 1970.
"""

REQUEUED = "x-requeued"
"""The header in which a message carries how often a consumer gave it back, to be taken again at once."""

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""The errors of reading or putting back a message that lacks kombu's form. No error of a server is one of them."""


class GivenBackTooOftenError(LookupError):
    """
    A message that its consumers give back at once, again and again.

    Attributes:
        key: The list that it comes from.
    """

    def __init__(self, times: int, key: str) -> None:
        super().__init__(f"given back {times} times by those who took it (requeue_limit)")
        self.key = key


def entry(broken: BrokenMessage, key: str) -> str:
    """Return what the list keeps of a message that was set aside; `key` is that of its list, empty if unknown."""
    text = broken.raw.decode(errors="surrogateescape")
    return dumps({"reason": broken.reason, "at": repr(time()), "key": key, "message": text})


class DeadLetters:
    """
    The dead-letter list of a server.

    Args:
        client: Returns a client that takes keys as they are, prefix included.
        keys: Returns the names of the keys.
    """

    def __init__(self, client: Callable[[], Any], keys: Callable[[], ServerKeys]) -> None:
        self._client = client
        self._keys = keys

    def add(self, message: PendingMessage, error: Exception) -> None:
        """Move a message that could not be delivered to the list."""
        self._add(message.raw, message.list_key, message.tag, error)

    def add_noted(self, tag: Any, error: Exception) -> None:
        """Move a message that is noted and could not be put back; which list it came from is hardly ever known."""
        note = self._client().hget(self._keys().unacked, tag)
        if note is None:
            return
        with suppress(*MALFORMED):  # else as it was noted: with its exchange and routing key
            note = dumps(loads(bytes_to_str(note))[0]).encode()
        self._add(note, getattr(error, "key", ""), tag, error)

    def _add(self, raw: bytes, list_key: str, tag: Any, error: Exception) -> None:
        broken = BrokenMessage(reason=f"{type(error).__name__}: {error}", raw=raw)
        keys = self._keys()
        with self._client().pipeline() as pipe:
            if tag:
                pipe.zrem(keys.index, tag)
                pipe.hdel(keys.unacked, tag)
            pipe.lpush(keys.dead, entry(broken, list_key))
            pipe.ltrim(keys.dead, 0, MAX_DEAD - 1)
            pipe.execute()
        report(broken)


def report(broken: BrokenMessage) -> None:
    """Log a message that was set aside, here or by the script."""
    logger.error("message set aside: %s: %.500r", broken.reason, broken.raw)
