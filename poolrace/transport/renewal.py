"""
Keeps the messages that a live node holds from being given to others, however long their jobs run.

Kombu notes when a message was taken, and whoever finds a note older than the visibility timeout puts the message back.
So a node that lives notes the time again, before others take it for dead.
"""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from weakref import ref

from kombu.log import get_logger
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = get_logger(__name__)

PART = 4
"""A message is renewed so many times within its visibility timeout: three attempts may fail."""

MOST_S = 15.0
"""The longest time between two renewals: other nodes may have a shorter visibility timeout."""

LEAST_S = 0.25
"""The shortest."""

MAX_TAGS = 1000
"""The most messages of one command: the server does nothing else meanwhile."""


def check_timeout(visibility_timeout_s: float) -> None:
    """
    Check that messages can be renewed in time.

    Raises:
        ValueError: If the timeout is too short.
    """
    if visibility_timeout_s < PART * LEAST_S:
        raise ValueError(
            f"visibility_timeout = {visibility_timeout_s:g}: must be {PART * LEAST_S:g} s or more, so that a live node "
            "can renew what it holds in time. A minute is a good value, however long jobs take."
        )


def interval_s(visibility_timeout_s: float) -> float:
    """Return the time between two renewals."""
    return min(MOST_S, max(LEAST_S, visibility_timeout_s / PART))


class Renewal:
    """
    Renews what a channel holds, in a thread of its own: on the solo pool a job holds up the event loop.

    Args:
        channel: Its `renew` is called again and again, until it is closed.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = ref(channel)
        self._interval_s = interval_s(channel.visibility_timeout)
        self._ended = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Renew from now on; it does nothing if that has begun."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="poolrace-renewal", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Renew no more."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            channel = self._channel()
            if channel is None:
                return
            try:
                channel.renew()
            except (*channel.connection_errors, RedisError) as error:
                logger.warning("could not renew what is held, tries again in %g s: %s", self._interval_s, error)
            del channel


def renew(client: Any, index: str, tags: Sequence[str], *, now: float) -> None:
    """
    Note that messages are held at this time, unless they are acknowledged or were given to others.

    Args:
        client: A client that takes keys as they are, prefix included.
        index: The key of the set of messages that are taken.
        tags: Their delivery tags.
        now: Seconds since 1970 by the server's clock.
    """
    with client.pipeline(transaction=False) as pipe:
        for first in range(0, len(tags), MAX_TAGS):
            pipe.zadd(index, dict.fromkeys(tags[first : first + MAX_TAGS], now), xx=True)
        pipe.execute()


def copied(held: Any) -> list[Any]:
    """Return what a container holds that other threads change meanwhile."""
    for _ in range(100):
        with suppress(RuntimeError):  # it changed while it was read
            return list(held)
    return []
