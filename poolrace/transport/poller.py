"""Decides which channel takes, waits or acknowledges next, between two polls of the sockets."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty
from threading import get_ident
from time import monotonic
from typing import Any

from kombu.log import get_logger

from poolrace.transport.kombu_bases import RedisPoller

logger = get_logger(__name__)

RENEW_S = 1.0
"""The longest sleep without an event loop: then there may be something to ask for."""

STALLED_AFTER_S = 2.0
"""A loop without a round for this long has ended or is held up; it sleeps for no more than a second."""


class Poller(RedisPoller):  # type: ignore[misc]
    """
    A poller like kombu's, for channels whose answers may always be read, because the room for them was kept free.

    Attributes:
        hub: The event loop that drives it; None where `drain_events` does.
        reader: The function that the loop calls for a socket.
    """

    hub: Any = None
    reader: Any = None
    _loop_thread: int | None = None
    _last_round_at = 0.0

    @property
    def is_running(self) -> bool:
        """True if an event loop goes round, so that it soon does the work that is left to it."""
        return self.hub is not None and monotonic() - self._last_round_at < STALLED_AFTER_S

    def is_late(self, seconds: float) -> bool:
        """Check whether an event loop that went round has not done so for that long."""
        since = max(seconds, STALLED_AFTER_S)
        return self.hub is not None and 0 < self._last_round_at < monotonic() - since

    def on_poll_start(self) -> None:
        """Have each channel ask the server for messages, or wait for them."""
        self._loop_thread, self._last_round_at = get_ident(), monotonic()
        for channel in list(self._channels):
            if channel.is_waiting and channel.acks:
                channel.acks.flush()  # over another connection: this one does nothing but wait
            if channel.active_queues or channel.acks or channel.delivery:
                self._register_BRPOP(channel)
            if channel.delivery and not channel._in_poll:
                channel.delivery.deliver_guarded()  # nothing may be asked now, so no answer would have it delivered
            if channel.active_fanout_queues:
                self._register_LISTEN(channel)

    def _register_BRPOP(self, channel: Any) -> None:  # noqa: N802 - as kombu calls it
        """Have a channel ask, or wait; kombu before 5.7 calls this in rounds of its own, too."""
        if channel._in_poll:
            return
        if channel.wants_to_ask:
            super()._register_BRPOP(channel)
        elif channel.has_room and channel.active_queues and channel.wants_to_wait and not channel.is_pausing:
            if not self._client_registered(channel, channel.client, "BRPOP"):
                self._register(channel, channel.client, "BRPOP")
            channel.wait()

    def on_readable(self, fileno: int) -> Any:
        """Read from a socket."""
        channel, kind = self._fd_to_chan.get(fileno, (None, None))
        if channel is None:
            logger.debug("nothing known of descriptor %r, ignored", fileno)
            return None
        return channel.handlers[kind]() if kind == "BRPOP" else super().on_readable(fileno)

    def hang_up(self, connection: Any) -> None:
        """Close a connection that is cut."""
        if connection._sock is not None:
            forget = self.poller.unregister if self.hub is None else self.hub.remove_reader
            with suppress(KeyError, ValueError, OSError):
                forget(connection._sock.fileno())  # first: a child of this process may have it, too
        connection.disconnect()

    def get(self, callback: Any, timeout: float | None = None) -> Any:
        """Deliver something where there is no event loop."""
        ends_s = None if timeout is None else monotonic() + timeout
        while True:
            for channel in list(self._channels):
                if channel.delivery:
                    channel.delivery.deliver()
                    return None
            left_s = RENEW_S if ends_s is None else min(RENEW_S, ends_s - monotonic())
            try:
                return super().get(callback, max(0.0, left_s))
            except Empty:
                # Something was read that is no message, or nothing came: there is time to look again.
                if ends_s is not None and monotonic() >= ends_s:
                    raise

    def close(self) -> None:
        """Forget everything; whatever is left to do has no loop to wait for any more."""
        super().close()
        self.hub = None

    def wake(self) -> None:
        """Have the event loop look for things to send, if it may be asleep."""
        if self.hub is not None and get_ident() != self._loop_thread:
            self.hub.call_soon(_nothing)

    @property
    def fds(self) -> dict[int, Any]:
        """The descriptors that the event loop does not read yet; kombu adds all of them again in each round."""
        if self.hub is None:
            return dict(self._fd_to_chan)
        readers = self.hub.readers
        return {fd: kind for fd, kind in self._fd_to_chan.items() if (readers.get(fd) or (None,))[0] != self.reader}

    def _update_brpop_polling(self) -> None:
        """Pause nothing: an answer under way has its room."""


def _nothing() -> None:
    """Do nothing: the call itself wakes the loop."""
