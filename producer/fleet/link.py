"""A link between nodes and their broker that can be made slow, broken and mended while they run."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

from producer.errors import FleetError
from producer.fleet.relay import FineSelector, Line, Relay

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

READY_S = 10.0


class Link:
    """
    Carries connections to a broker, in a thread of this process. Use it as a context manager.

    Attributes:
        url: The URL by which the broker is reached over it.

    Args:
        url: The broker's own URL.
    """

    def __init__(self, url: str) -> None:
        self._broker = urlsplit(url)
        self._line = Line(0.0)
        self._port = 0
        self._listening, self._ended = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def __enter__(self) -> Self:
        self._loop = asyncio.SelectorEventLoop(FineSelector())
        self._thread.start()
        if not self._listening.wait(READY_S):
            raise FleetError(f"The link to the broker did not start in {READY_S:.0f} s.")
        login, at, _ = self._broker.netloc.rpartition("@")
        self.url = urlunsplit(self._broker._replace(netloc=f"{login}{at}127.0.0.1:{self._port}"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    def slow_down(self, rtt_s: float) -> None:
        """Have each round trip take so many seconds from now on."""
        self._do(partial(setattr, self._line, "rtt_s", rtt_s))

    def break_off(self) -> None:
        """Have all that is sent vanish, so that neither side hears of it, not even that a connection was closed."""
        self._do(self._line.break_off)

    def mend(self) -> None:
        """Carry what new connections send; those that were there are lost."""
        self._do(self._line.mend)

    def _do(self, work: Callable[[], None]) -> None:
        """Do something between two chunks, and wait until it is done."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(work)
        self._loop.call_soon_threadsafe(done.set)
        done.wait(READY_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._carry())
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)

    async def _carry(self) -> None:
        relay = Relay(self._broker.hostname or "127.0.0.1", self._broker.port or 6379, self._line)
        server = await relay.listen()
        self._port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._ended.wait()
        server.close()
        relay.close()
