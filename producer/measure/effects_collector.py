"""Reads what nodes of other hosts note in a list on the broker, and keeps it in a file that no fault touches."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from poolrace import effects
from poolrace.effects_queue import effects_list

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK_S = 0.1
MOST_LINES = 5000


class EffectsCollector:
    """
    Copies lines from the list of a drill into a file, in a thread, for as long as it is used as a context manager.

    Args:
        token: The drill's token in one lane.
        path: The file.
        connect: Returns a connection to the broker, as kombu has it.
    """

    def __init__(self, token: str, path: Path, connect: Callable[[], Any]) -> None:
        self._name, self._path, self._connect = effects_list(token), path, connect
        self._seen: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._collect, name="effects")
        self._connection: Any = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(Exception):  # the broker may be away; what is left there expires
            self._take()
            self._client().delete(self._name)
        self._close()

    def _collect(self) -> None:
        while not self._ended.wait(LOOK_S):
            try:
                self._take()
            except Exception:  # any client's: the broker is away, and keeps the list meanwhile
                self._close()

    def _take(self) -> None:
        client = self._client()
        while lines := [line.decode() for line in client.lrange(self._name, 0, MOST_LINES - 1)]:
            # A line that was sent again is the same line; so is one that was read before the list was cut.
            new = [line for line in dict.fromkeys(lines) if line not in self._seen]
            effects.add(self._path, "".join(new))
            self._seen.update(new)
            client.ltrim(self._name, len(lines), -1)

    def _client(self) -> Any:
        if self._connection is None:
            self._connection = self._connect()
            self._connection.connect()
        return self._connection.default_channel.client

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.release()
