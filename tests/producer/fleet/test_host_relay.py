"""A host's relay stands before a broker while somebody holds it, and is no child of who does."""

import socket
import subprocess
import sys
import time

import psutil
import pytest
from integration.commands import words_of
from sockets import PATIENCE_S, echo, is_open, server

from producer.deadlines import until
from producer.errors import UsageError
from producer.fleet import host_relay
from producer.fleet.embedded import free_port
from producer.fleet.host_relay import LISTENS, connecting_s

RELAY = "producer.fleet.host_relay"


def started(port, rtt_s, listen):
    words = [sys.executable, "-m", RELAY, "127.0.0.1", str(port), str(rtt_s), str(listen)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_it_holds_what_passes_for_a_round_trip_and_ends_when_nobody_holds_it():
    with server(echo) as port, started(port, 0.05, listen := free_port()) as process:
        assert process.stdout.readline() == f"{LISTENS}\n"
        with socket.create_connection(("127.0.0.1", listen), timeout=PATIENCE_S) as sock:
            sock.sendall(b"?")
            assert sock.recv(1) == b"?"  # the handshake is over
            began_s = time.monotonic()
            sock.sendall(b"!")
            assert sock.recv(1) == b"!"
            assert time.monotonic() - began_s >= 0.05
        process.stdin.close()
        assert until(lambda: not is_open(listen), PATIENCE_S)


def test_it_is_no_child_of_who_started_it():
    with server(echo) as port, started(port, 0.001, listen := free_port()) as process:
        assert process.stdout.readline() == f"{LISTENS}\n"
        assert process.wait(PATIENCE_S) == 0
        assert is_open(listen)
        assert not [each for each in psutil.Process().children(recursive=True) if RELAY in words_of(each)]
        assert [
            each for each in psutil.process_iter() if words_of(each)[-1:] == [str(listen)] and RELAY in words_of(each)
        ]
        process.stdin.close()
        assert until(lambda: not is_open(listen), PATIENCE_S)


def test_a_port_that_is_taken_is_told_to_who_starts_it_and_no_relay_is_left():
    with server(echo) as port, pytest.raises(UsageError, match=f"--listen {port}: .*in use. Name another port"):
        host_relay.start_beside("127.0.0.1", port, 0.001, port)


def test_a_connection_is_measured_and_one_that_is_refused_is_told():
    with server(echo) as port:
        assert connecting_s("127.0.0.1", port) > 0
    with pytest.raises(ConnectionRefusedError):
        connecting_s("127.0.0.1", free_port())
