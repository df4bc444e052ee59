"""
A relay: it carries TCP connections to a broker, and holds what it carries for half a round trip in each direction.

Run as a process, `python -m producer.fleet.relay HOST PORT RTT_S`, it says on which port of 127.0.0.1 it listens, and
then, after each second in which it carried something, what that has cost so far: a line of JSON each. It delays and
does not slow down: chunks follow each other as they came, and what waits in it does not hold up what comes. A new
connection takes a round trip more, as the handshake of TCP does over a distance.

A `Line` can be broken, as a network is in which packets vanish: nobody at either end is told.
"""

from __future__ import annotations

import asyncio
import json
import select
import selectors
import sys
import time
import weakref
from collections import Counter, deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LISTENING_AT = "127.0.0.1"
HELD_BYTES = 32 * 2**20
"""A direction of a connection with more than this in it is not read from until half of it has gone."""

TOLD_EVERY_S = 1.0
BIN_S = 10e-6
"""How exactly lateness is counted."""

BACKLOG = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """
    What a relay has carried so far, and what it has cost.

    Attributes:
        chunks: Pieces of data that it carried, both directions together.
        carried_bytes: Their bytes.
        cpu_s: CPU seconds of its process since it listens.
        late_p50_s: How much later than due half of the chunks went on at most, in seconds.
        late_p99_s: The same of 99 in 100.
    """

    chunks: int
    carried_bytes: int
    cpu_s: float
    late_p50_s: float
    late_p99_s: float


class Meter:
    """
    Counts what a relay carries, and how late each chunk goes on.

    Attributes:
        chunks: Pieces of data so far.
    """

    def __init__(self) -> None:
        self.chunks = 0
        self._bytes = 0
        self._late: Counter[int] = Counter()

    def note(self, size: int, late_s: float) -> None:
        """Count a chunk by its bytes and the seconds between when it was due and when it went on."""
        self.chunks += 1
        self._bytes += size
        self._late[round(late_s / BIN_S)] += 1

    def cost(self, cpu_s: float) -> Cost:
        """Return what there has been so far."""
        return Cost(
            chunks=self.chunks,
            carried_bytes=self._bytes,
            cpu_s=cpu_s,
            late_p50_s=quantile(self._late, 0.5) * BIN_S,
            late_p99_s=quantile(self._late, 0.99) * BIN_S,
        )


def quantile(counts: Mapping[int, int], part: float) -> int:
    """Return the smallest value that at least a part of all counted values does not exceed; 0 without any."""
    needed, seen = part * sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= needed:
            return value
    return 0


class FineSelector(selectors.DefaultSelector):
    """A selector whose timeouts are exact to microseconds; `epoll` alone has milliseconds, as long as a round trip."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait until a file is ready or the time is up."""
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


@dataclass(slots=True)
class Line:
    """
    What connections run over. It may be changed while they do.

    Attributes:
        rtt_s: The round trip, in seconds.
        silent: Whether all that is sent vanishes.
        breaks: How often it was broken or mended. A connection that was there before never carries anything again,
            as one that a firewall has forgotten.
    """

    rtt_s: float
    silent: bool = False
    breaks: int = 0

    def break_off(self) -> None:
        """Have all that is sent vanish."""
        self.silent = True
        self.breaks += 1

    def mend(self) -> None:
        """Carry what new connections send."""
        self.silent = False
        self.breaks += 1


class End(asyncio.Protocol):
    """
    One end of a connection: what it hears, the other end says half a round trip later.

    Attributes:
        other: The end that says it; None until the broker has been reached.
    """

    def __init__(self, line: Line, meter: Meter) -> None:
        self.other: End | None = None
        self._loop = asyncio.get_running_loop()
        self._line = line
        self._breaks = line.breaks
        self._meter = meter
        self._held: deque[tuple[float, bytes | None]] = deque()
        self._held_bytes = 0
        self._full = self._other_is_full = False
        self._heard_all = self._said_all = False
        self._transport: asyncio.Transport | None = None

    @property
    def lost(self) -> bool:
        """True once the line was broken, and this connection with it."""
        return self._line.silent or self._line.breaks != self._breaks

    @property
    def _delay_s(self) -> float:
        return self._line.rtt_s / 2

    @property
    def closed(self) -> bool:
        """True once there is no connection any more."""
        return self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection; nothing is read from it before `join`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._read_or_not()

    def join(self, other: End) -> None:
        """Carry what this end hears to another one, and what it has heard already: an older asyncio reads at once."""
        self.other = other
        if self._held:
            due_s = self._loop.time() + self._delay_s
            self._held = deque((due_s, data) for _, data in self._held)
            self._loop.call_at(due_s, self._pass_on)
        self._read_or_not()

    def data_received(self, data: bytes) -> None:
        """Hold data until it is due at the other end."""
        if self.lost:
            return
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES:
            self._full = True
            self._read_or_not()
        self._hold(data)

    def eof_received(self) -> bool:
        """Carry the end of what this side says; the other direction stays open until it has ended, too."""
        self._heard_all = True
        if not self.lost:
            self._hold(None)
        return not self._said_all

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other end once it has said what is held for it."""
        self._transport = None
        self._loop.call_later(self._delay_s, self._close_other, exc is not None)

    def pause_writing(self) -> None:
        """Read no more for an end that takes no more."""
        if self.other:
            self.other.note_other(full=True)

    def resume_writing(self) -> None:
        """Read on for an end that takes more."""
        if self.other:
            self.other.note_other(full=False)

    def note_other(self, *, full: bool) -> None:
        """Read no more while the other end takes no more."""
        self._other_is_full = full
        self._read_or_not()

    def say(self, data: bytes | None) -> None:
        """Send data on, or the end of it."""
        if self._transport is None or self.closed:
            return
        if data is not None:
            self._transport.write(data)
        elif self._heard_all:
            self._transport.close()
        else:
            self._said_all = True
            with suppress(OSError):  # the other side is gone, which is about to be heard
                self._transport.write_eof()

    def close(self, *, reset: bool) -> None:
        """Close the connection, or reset it as the other side was."""
        if self._transport:
            (self._transport.abort if reset else self._transport.close)()

    def _hold(self, data: bytes | None) -> None:
        due_s = self._loop.time() + self._delay_s
        self._held.append((due_s, data))
        if len(self._held) == 1 and self.other:
            self._loop.call_at(due_s, self._pass_on)

    def _pass_on(self) -> None:
        now_s = self._loop.time()
        while self._held and self._held[0][0] <= now_s:
            due_s, data = self._held.popleft()
            if data is not None:
                self._held_bytes -= len(data)
                self._meter.note(len(data), now_s - due_s)
            if self.other:
                self.other.say(data)
        if self._held:
            self._loop.call_at(self._held[0][0], self._pass_on)
        if self._full and self._held_bytes <= HELD_BYTES / 2:
            self._full = False
            self._read_or_not()

    def _read_or_not(self) -> None:
        if self._transport is None or self.closed:
            return
        if self.other is None or self._full or self._other_is_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _close_other(self, reset: bool) -> None:
        if self.other and not self.lost:
            self.other.close(reset=reset)


class Relay:
    """
    Carries connections to a server over a line.

    Attributes:
        meter: Counts what it carries.
        line: The line.
    """

    def __init__(self, host: str, port: int, line: Line) -> None:
        self.meter = Meter()
        self.line = line
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: weakref.WeakSet[End] = weakref.WeakSet()

    async def listen(self, port: int = 0) -> asyncio.Server:
        """Listen on a port of this machine; on a free one if none is named."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._accept, LISTENING_AT, port, backlog=BACKLOG)

    def _accept(self) -> End:
        near = self._end()
        task = asyncio.create_task(self._reach(near))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return near

    def _end(self) -> End:
        end = End(self.line, self.meter)
        self._ends.add(end)
        return end

    def close(self) -> None:
        """Close all connections at once."""
        for end in list(self._ends):
            end.close(reset=True)

    async def _reach(self, near: End) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.line.rtt_s)  # the handshake
        try:
            _, far = await loop.create_connection(self._end, *self._target)
        except Exception:  # whatever is wrong with the address, nobody may wait for it
            near.close(reset=True)
            return
        if near.closed:
            far.close(reset=True)
            return
        near.join(far)
        far.join(near)


def fine_runner() -> asyncio.Runner:
    """Return a runner whose timers are as exact as a relay needs them."""
    return asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(FineSelector()))


async def carry(host: str, port: int, rtt_s: float) -> None:
    """Carry connections until this process is ended, and tell what that costs."""
    relay = Relay(host, port, Line(rtt_s))
    server = await relay.listen()
    _tell(f"listening on {server.sockets[0].getsockname()[1]}")
    began_s, told = time.process_time(), 0
    while True:
        await asyncio.sleep(TOLD_EVERY_S)
        if relay.meter.chunks != told:
            told = relay.meter.chunks
            _tell(json.dumps(asdict(relay.meter.cost(time.process_time() - began_s))))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(host: str, port: str, rtt_s: str) -> None:
    """Be a relay."""
    with suppress(KeyboardInterrupt), fine_runner() as runner:
        runner.run(carry(host, int(port), float(rtt_s)))


if __name__ == "__main__":
    main(*sys.argv[1:])
