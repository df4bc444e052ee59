"""A relay carries every byte in order, no sooner than half a round trip later, and ends connections as they ended."""

import asyncio
import json
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import psutil
import pytest
from sockets import PATIENCE_S, echo, server

from producer.fleet.relay import BIN_S, HELD_BYTES, Cost, End, Line, Meter, quantile

MIB = 2**20


@contextmanager
def relayed(port, rtt_s):
    """A relay before a port: its process and its own port."""
    words = [sys.executable, "-m", "producer.fleet.relay", "127.0.0.1", str(port), str(rtt_s)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, int(process.stdout.readline().removeprefix("listening on "))
        finally:
            process.terminate()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def read(sock, size):
    found = bytearray()
    while len(found) < size and (data := sock.recv(min(MIB, size - len(found)))):
        found += data
    return bytes(found)


def test_what_is_said_comes_back_whole_and_in_order():
    said = random.Random(1).randbytes(3 * MIB)
    with server(echo) as port, relayed(port, 0.004) as (_, there), connect(there) as sock:
        chance, at = random.Random(2), 0

        def say():
            nonlocal at
            while at < len(said):
                size = chance.choice([1, 100, 5000, 100_000])
                sock.sendall(said[at : at + size])
                at += size

        speaker = threading.Thread(target=say)
        speaker.start()
        assert read(sock, len(said)) == said
        speaker.join()


@pytest.mark.parametrize("rtt_s", [0.05, 0.3])
def test_an_answer_takes_a_round_trip_at_least(rtt_s):
    with server(echo) as port, relayed(port, rtt_s) as (_, there), connect(there) as sock:
        sock.sendall(b"first")
        read(sock, 5)
        began_s = time.monotonic()
        sock.sendall(b"ping")
        assert read(sock, 4) == b"ping"
        assert time.monotonic() - began_s >= rtt_s


def test_what_is_under_way_holds_up_nothing_behind_it():
    """All questions are there before the first answer is back: with one under way at a time it would be one."""
    came = []

    def answer(sock):
        with sock, suppress(OSError):
            while data := sock.recv(1):
                came.append(data)
                sock.sendall(data)

    with server(answer) as port, relayed(port, 2.0) as (_, there), connect(there) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"!")
        assert read(sock, 1) == b"!"  # the handshake is over
        for _ in range(50):
            sock.sendall(b"?")
            time.sleep(0.005)
        assert read(sock, 1) == b"?"
        assert len(came) == 51


def test_one_side_may_end_and_still_hear_the_other():
    def answer_at_the_end(sock):
        with sock:
            heard = b""
            while data := sock.recv(4096):
                heard += data
            sock.sendall(heard.upper())

    with server(answer_at_the_end) as port, relayed(port, 0.01) as (process, there), connect(there) as sock:
        sock.sendall(b"all of it")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(4096) == b"ALL OF IT"
        assert sock.recv(4096) == b""
        sock.close()
        assert_lets_go(process)


def assert_lets_go(process):
    """Check that a relay is left with its listener, and no connection of either side."""
    deadline_s = time.monotonic() + PATIENCE_S
    while len(psutil.Process(process.pid).net_connections()) > 1:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_connection_that_the_server_ends_is_ended():
    with (
        server(lambda sock: sock.close()) as port,
        relayed(port, 0.01) as (process, there),
        connect(there) as sock,
    ):
        assert sock.recv(1) == b""
        sock.close()
        assert_lets_go(process)


def test_a_connection_that_is_gone_before_the_server_is_reached_leaves_none():
    with server(echo) as port, relayed(port, 0.3) as (process, there):
        connect(there).close()
        time.sleep(0.5)
        assert_lets_go(process)


def test_without_a_server_connections_are_ended():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with relayed(port, 0.01) as (process, there), connect(there) as sock:
        with suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        assert_lets_go(process)


def test_a_side_that_does_not_read_stops_the_other_and_nothing_is_lost():
    go_on = threading.Event()

    def read_late(sock):
        go_on.wait(PATIENCE_S)
        echo(sock)

    said = b"x" * (HELD_BYTES * 3)
    with server(read_late) as port, relayed(port, 0.01) as (process, there), connect(there) as sock:
        speaker = threading.Thread(target=sock.sendall, args=(said,))
        speaker.start()
        speaker.join(2)
        assert speaker.is_alive()  # it waits
        assert psutil.Process(process.pid).memory_info().rss < 3 * HELD_BYTES
        go_on.set()
        assert len(read(sock, len(said))) == len(said)
        speaker.join(PATIENCE_S)


def test_it_tells_what_it_has_carried():
    with server(echo) as port, relayed(port, 0.01) as (process, there), connect(there) as sock:
        sock.sendall(b"12345")
        assert read(sock, 5) == b"12345"
        told = Cost(**json.loads(process.stdout.readline()))
    assert (told.chunks, told.carried_bytes) == (2, 10)
    assert told.cpu_s > 0
    assert 0 <= told.late_p50_s <= told.late_p99_s


@pytest.mark.parametrize(
    ("counts", "part", "value"),
    [
        ({}, 0.5, 0),
        ({3: 1}, 0.99, 3),
        ({1: 50, 2: 49, 9: 1}, 0.5, 1),
        ({1: 50, 2: 49, 9: 1}, 0.99, 2),
        ({1: 50, 2: 48, 9: 2}, 0.99, 9),
        ({9: 2, 1: 50, 2: 48}, 1.0, 9),
    ],
)
def test_a_quantile_is_the_smallest_value_that_so_many_do_not_exceed(counts, part, value):
    assert quantile(counts, part) == value


def test_lateness_is_counted_in_bins():
    meter = Meter()
    for late_s in (0.00001, 0.00001, 0.00501):
        meter.note(100, late_s)
    assert meter.cost(1.5) == Cost(
        chunks=3, carried_bytes=300, cpu_s=1.5, late_p50_s=BIN_S, late_p99_s=pytest.approx(501 * BIN_S)
    )


class _Connection(asyncio.Transport):
    """A connection of which a test sees what is said on it."""

    def __init__(self):
        super().__init__()
        self.said = []

    def write(self, data):
        self.said.append(data)

    def write_eof(self):
        self.said.append(None)

    def is_closing(self):
        return False

    def pause_reading(self):
        """Do nothing, as an older asyncio does before a connection is read from."""

    def resume_reading(self):
        """Read on, which this one always does."""


def test_what_is_heard_before_the_server_is_reached_is_carried_once_it_is():
    async def carried():
        near, far = (End(Line(0.02), Meter()) for _ in range(2))
        far.connection_made(connection := _Connection())
        near.connection_made(_Connection())
        near.data_received(b"HELLO")
        near.eof_received()
        await asyncio.sleep(0.05)  # longer than it is held for
        near.join(far)
        assert connection.said == []
        while len(connection.said) < 2:
            await asyncio.sleep(0.005)
        return connection.said

    assert asyncio.run(asyncio.wait_for(carried(), PATIENCE_S)) == [b"HELLO", None]
