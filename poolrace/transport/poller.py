"""Which channel takes, waits or acknowledges next, between two looks at the sockets."""

from __future__ import annotations

from threading import get_ident
from time import monotonic
from typing import Any

from kombu.log import get_logger

from poolrace.transport.kombu_bases import RedisPoller
from poolrace.transport.list_waiter import Waiter

logger = get_logger(__name__)

STILL_S = 2.0
"""After that without a round, a loop has ended or is held up; it sleeps for no more than a second."""


class Poller(RedisPoller):  # type: ignore[misc]
    """
    kombu's poller, for channels whose answers may always be read, because the room for them was kept free.

    Attributes:
        hub: The event loop that drives it; None where `drain_events` does.
        reader: What that loop calls for a socket.
    """

    hub: Any = None
    reader: Any = None
    _loop_thread: int | None = None
    _turned_at = 0.0

    @property
    def is_turning(self) -> bool:
        """Whether an event loop goes round, so that what is left to it is done soon."""
        return self.hub is not None and monotonic() - self._turned_at < STILL_S

    def on_poll_start(self) -> None:
        """Send what each channel has to ask for."""
        self._loop_thread, self._turned_at = get_ident(), monotonic()
        for channel in list(self._channels):
            if channel.active_queues or channel.has_acks or channel.has_arrived:
                self._advance(channel)
            if channel.has_arrived and not channel._in_poll:
                channel.deliver_rest()  # nothing may be asked now, so no answer would have it delivered
            if channel.active_fanout_queues:
                self._register_LISTEN(channel)

    def _advance(self, channel: Any) -> None:
        if channel._in_poll:
            return
        if channel.wants_to_ask:
            self._register_BRPOP(channel)
        elif channel.has_room:
            for waiter in channel.waiters():
                if waiter.sent_at is None:
                    self._wait(channel, waiter)

    def _wait(self, channel: Any, waiter: Waiter) -> None:
        if waiter.connection._sock is None or (channel, waiter, waiter) not in self._chan_to_sock:
            self._register(channel, waiter, waiter)
        waiter.start(channel.wait_s)

    def on_readable(self, fileno: int) -> Any:
        """Read what came."""
        channel, kind = self._fd_to_chan.get(fileno, (None, None))
        if channel is None:
            logger.debug("nothing known of descriptor %r, ignored", fileno)
            return None
        if isinstance(kind, Waiter):
            return channel.waited(kind)
        if kind == "BRPOP":
            if channel._in_poll:
                return channel.handlers[kind]()
            return channel.client.connection.disconnect()  # nothing was asked: the server hangs up
        return super().on_readable(fileno)

    def get(self, callback: Any, timeout: float | None = None) -> Any:
        """Deliver something, for whoever has no event loop."""
        for channel in list(self._channels):
            if channel.has_arrived:
                channel.deliver()
                return None
        return super().get(callback, timeout)

    def discard(self, channel: Any) -> None:
        """Forget a channel and what it waits on."""
        super().discard(channel)
        self.forget(channel, list(channel._waiters.values()))

    def forget(self, channel: Any, waiters: list[Waiter]) -> None:
        """End some waits of a channel; its connections take themselves out of the poll."""
        for waiter in waiters:
            sock = self._chan_to_sock.pop((channel, waiter, waiter), None)
            if sock is not None and sock.fileno() >= 0:
                self._fd_to_chan.pop(sock.fileno(), None)
                self._unregister_from_poll(sock.fileno())
            waiter.close()

    def wake(self) -> None:
        """Have the event loop look at what there is to send, if it may be asleep."""
        if self.hub is not None and get_ident() != self._loop_thread:
            self.hub.call_soon(_nothing)

    def maybe_check_brpop_health(self) -> None:
        """Drop connections whose answer is overdue; the next poll makes new ones."""
        super().maybe_check_brpop_health()
        for channel in list(self._channels):
            for waiter in list(channel._waiters.values()):
                if channel.health_check_interval and waiter.overdue(channel.health_check_interval):
                    logger.warning("no answer on a waiting connection in time, dropping it")
                    waiter.close()

    @property
    def fds(self) -> dict[int, Any]:
        """Those that the event loop does not yet read; kombu adds all of them again in each round."""
        if self.hub is None:
            return dict(self._fd_to_chan)
        readers = self.hub.readers
        return {fd: kind for fd, kind in self._fd_to_chan.items() if (readers.get(fd) or (None,))[0] != self.reader}

    def _update_brpop_polling(self) -> None:
        """Nothing is ever paused: an answer under way has its room."""


def _nothing() -> None:
    """That the loop goes round is all."""
