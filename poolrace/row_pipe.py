"""Rows on their way from a pool's child processes to the node's main process."""

from __future__ import annotations

import fcntl
import os
import termios
from array import array
from collections import deque
from typing import TYPE_CHECKING

from celery.utils.log import get_logger

from poolrace.contract import ROW

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = get_logger(__name__)

PIPE_BYTES = 1 << 20
DEFAULT_PIPE_BYTES = 1 << 16


class RowPipe:
    """
    A pipe for rows of a fixed width that never blocks its writers. Made before the pool forks.

    Attributes:
        reader: The descriptor to poll for rows.
        writer: The descriptor that rows are written to.
        capacity: The number of rows that it holds.
    """

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self.writer, False)
        self.capacity = _enlarge(self.writer) // ROW.size
        self._unwritten: deque[bytes] = deque()
        self._partial = b""

    def write(self, row: bytes) -> bool:
        """Hand over a row without blocking. Returns False if the pipe is full; the row goes with the next one then."""
        self._unwritten.append(row)
        while self._unwritten:
            try:
                # A row is shorter than PIPE_BUF, so it arrives whole or not at all.
                os.write(self.writer, self._unwritten[0])
            except BlockingIOError:
                return False
            self._unwritten.popleft()
        return True

    def waiting(self) -> int:
        """Return how many rows have arrived and were not read yet."""
        unread = array("i", [0])
        fcntl.ioctl(self.reader, termios.FIONREAD, unread)
        return unread[0] // ROW.size

    def read(self) -> bytes:
        """Return the whole rows that have arrived since the last call."""
        data = b"".join((self._partial, *self._chunks()))
        whole = len(data) - len(data) % ROW.size
        self._partial = data[whole:]
        return data[:whole]

    def _chunks(self) -> Iterator[bytes]:
        while True:
            try:
                yield os.read(self.reader, PIPE_BYTES)
            except BlockingIOError:
                return

    def close(self) -> None:
        """Close both ends in this process."""
        os.close(self.reader)
        os.close(self.writer)


def _enlarge(pipe: int) -> int:
    """Have a pipe hold more, where the system grants it, and return how many bytes it holds."""
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        return DEFAULT_PIPE_BYTES
    try:
        return fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        logger.debug("The pipe keeps its default size: the user's limit on pipe memory is reached.")
        return DEFAULT_PIPE_BYTES
