"""Ids of tasks and of messages, without a call of the system for each."""

from __future__ import annotations

import os
from itertools import count
from uuid import UUID, uuid4

AT_ONCE = 256
"""For so many ids randomness is fetched together."""


class Ids:
    """Ids that nobody else makes; a process that is forked needs its own."""

    def __init__(self) -> None:
        self._random: list[bytes] = []
        self._tag_base = str(uuid4())[:-12]
        self._numbers = count()

    def task_id(self) -> str:
        """Return a random UUID, as Celery names a task."""
        while True:
            try:
                return str(UUID(bytes=self._random.pop(), version=4))  # pop is atomic, between threads too
            except IndexError:
                drawn = os.urandom(16 * AT_ONCE)
                self._random += [drawn[at : at + 16] for at in range(0, len(drawn), 16)]

    def delivery_tag(self) -> str:
        """Return what names a message on the server: a UUID of whose digits the last twelve count."""
        return f"{self._tag_base}{next(self._numbers) & 0xFFFFFFFFFFFF:012x}"
