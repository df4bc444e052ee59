"""A promise: what became of the messages that a block sent."""

from __future__ import annotations

from contextvars import ContextVar
from threading import Condition
from typing import TYPE_CHECKING

from poolrace.publishing.errors import PublishError

if TYPE_CHECKING:
    from collections.abc import Sequence

CURRENT: ContextVar[Promise | None] = ContextVar("poolrace.publishing.promise", default=None)
"""The promise of the block that this thread, or task of asyncio, is in."""


class Promise:
    """
    What became of the messages that a block sent: an error is told here, and raised nowhere else.

    Attributes:
        accepted: How many of them the broker has accepted.
        failed: The ids of the tasks that it has not, in order, as far as is known.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self.failed: list[str] = []
        self._error: BaseException | None = None
        self._open = 0
        self._changed = Condition()

    def wait(self, timeout: float | None = None) -> int:
        """
        Wait until all messages are settled, and return how many were accepted.

        Args:
            timeout: How long to wait at most, in seconds; for ever if None.

        Raises:
            PublishError: If some were not accepted.
            TimeoutError: If some are not settled by then.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, timeout):
                raise TimeoutError(f"{self._open} messages are not settled after {timeout:g} s")
            if self._error is not None:
                raise PublishError(self.failed, self._error) from self._error
            return self.accepted

    def begin(self) -> None:
        """Count one more message as open."""
        with self._changed:
            self._open += 1

    def settle(self, accepted: int, failed: Sequence[str] = (), error: BaseException | None = None) -> None:
        """Count open messages as accepted or failed."""
        with self._changed:
            self.accepted += accepted
            self.failed += failed
            self._error = self._error or error
            self._open -= accepted + len(failed)
            self._changed.notify_all()
