"""The list of messages that were set aside, as an operator sees it: what is in it, and how to send it again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from poolrace.transport.dead_letters import HISTORY, MALFORMED, REQUEUED

if TYPE_CHECKING:
    from collections.abc import Iterator

SEND_AGAIN = """
-- KEYS: the dead-letter list, the list of the queue. ARGV: the entry, the message.
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1
"""
"""In one step, so that nobody sends it twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """
    A message that was set aside.

    Attributes:
        raw: The entry as it is in the list.
        reason: Why it was set aside.
        at: When, in seconds since 1970.
        key: The list of its queue, empty if that is not known.
        message: The message as it was published.
    """

    raw: bytes
    reason: str
    at: float
    key: str
    message: str

    @classmethod
    def read(cls, raw: bytes) -> DeadLetter:
        """Read an entry; one that is none of ours is its own message."""
        try:
            found = json.loads(raw.decode(errors="surrogateescape"))
            at = float(found["at"])
            datetime.fromtimestamp(at, UTC)  # or it is no time
            return cls(
                raw=raw,
                reason=str(found["reason"]),
                at=at,
                key=str(found["key"]),
                message=str(found["message"]),
            )
        except (*MALFORMED, OverflowError, OSError):
            text = raw.decode(errors="surrogateescape")
            return cls(raw=raw, reason="this entry cannot be read", at=0.0, key="", message=text)

    @property
    def task(self) -> str:
        """The name of its task, or an empty text."""
        return str(self._headers().get("task", ""))

    @property
    def job(self) -> str:
        """The id of its job, or an empty text."""
        return str(self._headers().get("id", ""))

    @property
    def fresh(self) -> bytes:
        """The message as it is sent again, without its history."""
        text = self.message
        if {HISTORY, REQUEUED} & set(self._headers()):
            message = json.loads(text)
            for name in (HISTORY, REQUEUED):
                message["headers"].pop(name, None)
            text = json.dumps(message)
        return text.encode(errors="surrogateescape")

    def _headers(self) -> dict[str, Any]:
        try:
            headers = json.loads(self.message)["headers"]
        except MALFORMED:
            return {}
        return headers if isinstance(headers, dict) else {}


class DeadLetterList:
    """
    The list on a server.

    Args:
        client: A client of the server.
        key: The list's key, prefix included.
    """

    def __init__(self, client: Any, key: str) -> None:
        self._client = client
        self._key = key

    def __len__(self) -> int:
        return int(self._client.llen(self._key))

    def oldest(self, most: int) -> Iterator[DeadLetter]:
        """Return no more than so many entries, the oldest first."""
        for raw in reversed(self._client.lrange(self._key, -most, -1)):
            yield DeadLetter.read(raw)

    def send_again(self, letter: DeadLetter) -> bool:
        """
        Put a message into its queue, behind all others; return whether it was still there.

        Raises:
            ValueError: If nobody knows its queue.
        """
        if not letter.key:
            raise ValueError("its queue is not known")
        return bool(self._client.eval(SEND_AGAIN, 2, self._key, letter.key, letter.raw, letter.fresh))

    def purge(self) -> int:
        """Delete all of them; return how many they were."""
        with self._client.pipeline() as pipe:
            return int(pipe.llen(self._key).delete(self._key).execute()[0])
