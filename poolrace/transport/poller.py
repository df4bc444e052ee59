"""Decides which channel takes, waits or acknowledges next, between two polls of the sockets."""

from __future__ import annotations

from threading import get_ident
from time import monotonic
from typing import Any

from kombu.log import get_logger

from poolrace.transport.kombu_bases import RedisPoller
from poolrace.transport.list_waiter import ListWaiter

logger = get_logger(__name__)

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

    def on_poll_start(self) -> None:
        """Have each channel ask the server for messages, or wait for them."""
        self._loop_thread, self._last_round_at = get_ident(), monotonic()
        for channel in list(self._channels):
            if channel.active_queues or channel.acks or channel.delivery:
                self._advance(channel)
            if channel.delivery and not channel._in_poll:
                channel.delivery.deliver_guarded()  # nothing may be asked now, so no answer would have it delivered
            if channel.active_fanout_queues:
                self._register_LISTEN(channel)

    def _advance(self, channel: Any) -> None:
        if channel._in_poll:
            return
        if channel.wants_to_ask:
            self._register_BRPOP(channel)
        elif channel.has_room:
            for waiter in channel.renew_waiters():
                if waiter.sent_at is None:
                    self._wait(channel, waiter)

    def _wait(self, channel: Any, waiter: ListWaiter) -> None:
        if waiter.connection._sock is None or (channel, waiter, waiter) not in self._chan_to_sock:
            self._register(channel, waiter, waiter)
        waiter.start(channel.wait_s)

    def on_readable(self, fileno: int) -> Any:
        """Read from a socket."""
        channel, kind = self._fd_to_chan.get(fileno, (None, None))
        if channel is None:
            logger.debug("nothing known of descriptor %r, ignored", fileno)
            return None
        if isinstance(kind, ListWaiter):
            return channel.on_wait_end(kind)
        if kind == "BRPOP":
            if channel._in_poll:
                return channel.handlers[kind]()
            return channel.client.connection.disconnect()  # nothing was asked: the server hangs up
        return super().on_readable(fileno)

    def get(self, callback: Any, timeout: float | None = None) -> Any:
        """Deliver something where there is no event loop."""
        for channel in list(self._channels):
            if channel.delivery:
                channel.delivery.deliver()
                return None
        return super().get(callback, timeout)

    def discard(self, channel: Any) -> None:
        """Forget a channel and its waits."""
        super().discard(channel)
        self.forget(channel, list(channel.waiters.values()))

    def forget(self, channel: Any, waiters: list[ListWaiter]) -> None:
        """End some waits of a channel; its connections take themselves out of the poll."""
        for waiter in waiters:
            sock = self._chan_to_sock.pop((channel, waiter, waiter), None)
            if sock is not None and sock.fileno() >= 0:
                self._fd_to_chan.pop(sock.fileno(), None)
                self._unregister_from_poll(sock.fileno())
            waiter.close()

    def wake(self) -> None:
        """Have the event loop look for things to send, if it may be asleep."""
        if self.hub is not None and get_ident() != self._loop_thread:
            self.hub.call_soon(_nothing)

    def maybe_check_brpop_health(self) -> None:
        """Drop connections whose answer is overdue; the next poll makes new ones."""
        super().maybe_check_brpop_health()
        for channel in list(self._channels):
            for waiter in list(channel.waiters.values()):
                if channel.health_check_interval and waiter.is_overdue(channel.health_check_interval):
                    logger.warning("no answer on a waiting connection in time, dropping it")
                    waiter.close()

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
