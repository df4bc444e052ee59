"""A link carries what is sent, can be slowed down, and loses all connections without a word once it is broken."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from producer.fleet.link import Link

PATIENCE_S, SHORT_S = 10, 0.3


@contextmanager
def echoing():
    """A server that says what it hears, by its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        try:
            yield f"redis://:secret@127.0.0.1:{listener.getsockname()[1]}/0"
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def serve(listener):
    with suppress(OSError):
        while True:
            threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()


def echo(sock):
    with sock, suppress(OSError):
        while data := sock.recv(4096):
            sock.sendall(data)


@pytest.fixture
def link():
    with echoing() as url, Link(url) as link:
        yield link


def connect(link):
    return socket.create_connection(("127.0.0.1", int(link.url.rsplit(":", 1)[1].removesuffix("/0"))), PATIENCE_S)


def answers(sock, patience_s=PATIENCE_S):
    sock.settimeout(patience_s)
    try:
        sock.sendall(b"ping")
        return sock.recv(4) == b"ping"
    except TimeoutError:
        return False


def test_the_url_is_that_of_the_broker_with_another_port(link):
    assert link.url.startswith("redis://:secret@127.0.0.1:")
    assert link.url.endswith("/0")


def test_it_carries_and_is_no_faster_than_it_was_made(link):
    with connect(link) as sock:
        assert answers(sock)
        link.slow_down(0.1)
        began_s = time.monotonic()
        assert answers(sock)
        assert time.monotonic() - began_s >= 0.1


def test_a_connection_of_a_broken_link_stays_dead_and_is_never_closed_and_a_new_one_works(link):
    with connect(link) as before:
        assert answers(before)
        link.break_off()
        assert not answers(before, SHORT_S)
        with connect(link) as during:
            assert not answers(during, SHORT_S)
            link.mend()
            assert not answers(before, SHORT_S)
            assert not answers(during, SHORT_S)
        with connect(link) as after:
            assert answers(after)
