"""Acknowledgements that wait to be sent, so that many go in one command."""

from __future__ import annotations

from collections import deque
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_ACKS = 1000
"""The most acknowledgements of one command: the server does nothing else meanwhile."""


class AckBuffer:
    """
    The delivery tags of messages that are done with, until the server has forgotten them.

    Slots add to it from any thread, and so several threads may flush it at once.

    Args:
        send: Acknowledges tags on the server, and waits for its answer.
    """

    def __init__(self, send: Callable[[list[str]], None]) -> None:
        self._send = send
        self._tags: deque[str] = deque()
        self._flushing = RLock()

    def __len__(self) -> int:
        return len(self._tags)

    def add(self, tag: str) -> None:
        """Keep an acknowledgement until it is taken or flushed."""
        self._tags.append(tag)

    def take(self) -> list[str]:
        """Remove and return the tags of one command, oldest first; who takes them sends them or puts them back."""
        tags: list[str] = []
        try:
            while len(tags) < MAX_ACKS:
                tags.append(self._tags.popleft())
        except IndexError:
            pass
        return tags

    def put_back(self, tags: Iterable[str]) -> None:
        """Keep tags that were taken and could not be sent."""
        self._tags.extend(tags)

    def flush(self) -> None:
        """Send all and wait for the answers. Raises whatever sending raises, and then keeps what was not sent."""
        # One thread at a time, which sends what the others have added: each of them would need a connection of its own,
        # and the pool has few.
        with self._flushing:
            while tags := self.take():
                try:
                    self._send(tags)
                except Exception:
                    self.put_back(tags)
                    raise
