"""
A relay of this host, on a port of its own: it puts the host at a distance from a broker that others share.

Run as a process, `python -m producer.fleet.host_relay HOST PORT RTT_S LISTEN`, it says on standard output that it
listens, or why it cannot, and carries connections until its standard input ends: as long as a process holds the other
end. It is no child of the process that started it, whose memory and CPU time are measured with those of its children.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from producer.errors import UsageError
from producer.fleet.relay import LISTENING_AT, Line, Relay, fine_runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from producer.fleet.relay import Cost

LISTENS = "listening"
CONNECTS = 5
CONNECT_S = 1.0
"""How long a connection may take that is only to be measured."""


def connecting_s(host: str, port: int) -> float:
    """
    Measure how long a connection to an address takes to be made, in seconds: a round trip. The fastest of several.

    Raises:
        OSError: If there is none.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    took_s: list[float] = []
    for _ in range(CONNECTS):
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(CONNECT_S)
            began_s = time.perf_counter()
            sock.connect(address)
            took_s.append(time.perf_counter() - began_s)
    return min(took_s)


def carry(host: str, port: int, rtt_s: float, listen: int, on_listening: Callable[[], None]) -> Cost:
    """
    Carry connections from a port of this machine to a broker until Ctrl-C, and return what that has cost.

    Raises:
        UsageError: If the port cannot be listened on.
    """
    relay, began_s = Relay(host, port, Line(rtt_s)), time.process_time()
    with suppress(KeyboardInterrupt), fine_runner() as runner:
        runner.run(_carry(relay, listen, on_listening, asyncio.Event()))
    return relay.meter.cost(time.process_time() - began_s)


def start_beside(host: str, port: int, rtt_s: float, listen: int) -> None:
    """
    Start a relay that lives as long as this process, or what it becomes by `exec`; return when it listens.

    Raises:
        UsageError: If its port cannot be listened on.
    """
    words = [sys.executable, "-P", "-m", "producer.fleet.host_relay", host, str(port), repr(rtt_s), str(listen)]
    ends, held = os.pipe()
    os.set_inheritable(held, True)  # by `exec`; the relay itself gets no other end than its own
    with subprocess.Popen(words, stdin=ends, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        os.close(ends)
        said = process.stdout.readline().strip() if process.stdout else ""
    if said != LISTENS:
        os.close(held)
        raise UsageError(said or f"--listen: the relay ended with exit code {process.returncode}; see above.")


async def _carry(relay: Relay, listen: int, on_listening: Callable[[], None], ended: asyncio.Event) -> None:
    try:
        server = await relay.listen(listen)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise UsageError(f"--listen {listen}: {LISTENING_AT}:{listen}: {why}. Name another port.") from error
    on_listening()
    await ended.wait()
    server.close()
    relay.close()


async def _carry_until_input_ends(relay: Relay, listen: int) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)  # nothing is written to it
    await _carry(relay, listen, _say_that_it_listens, ended)


def _say_that_it_listens() -> None:
    sys.stdout.write(f"{LISTENS}\n")
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who has read that hears its end


def main(host: str, port: str, rtt_s: str, listen: str) -> None:
    """Be a relay that nobody is the parent of."""
    if os.fork():
        os._exit(0)
    relay = Relay(host, int(port), Line(float(rtt_s)))
    try:
        with fine_runner() as runner:
            runner.run(_carry_until_input_ends(relay, int(listen)))
    except UsageError as error:
        sys.stdout.write(f"{error}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
