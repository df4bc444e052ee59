"""`poolrace relay` becomes a command beside a relay, or is one; each host has its own round trip."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from sockets import PATIENCE_S, echo, is_open, server

from producer.deadlines import until
from producer.fleet.embedded import free_port

ASK = """
import json, os, signal, socket, sys, time
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as sock:
    sock.sendall(b"?")
    sock.recv(1)
    began_s = time.monotonic()
    sock.sendall(b"!")
    assert sock.recv(1) == b"!"
    took_s = time.monotonic() - began_s
print(json.dumps({
    "took_s": took_s, "pid": os.getpid(), "celery": os.environ.get("CELERY_BROKER_URL"),
    "sigpipe": signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN and "as Python has it",
}))
raise SystemExit(7)
"""


def relay(*words, **environ):
    return subprocess.Popen(
        [sys.executable, "-m", "producer", "relay", *words], env={**os.environ, **environ}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(*words, **environ):
    process = relay(*words, **environ)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err, process.pid


def test_a_command_takes_its_place_behind_the_relay_of_its_host_which_ends_with_it():
    with server(echo) as port:
        listen = free_port()
        code, out, err, pid = ended(
            "--", sys.executable, "-c", ASK, str(listen),
            POOLRACE_RELAY_TO=f"127.0.0.1:{port}", POOLRACE_RELAY_LISTEN=str(listen), POOLRACE_RELAY_HOST="second",
            POOLRACE_RELAY_RTT="second=40ms third=1ms", CELERY_BROKER_URL="redis://mine",
        )  # fmt: skip
    assert code == 7
    told = json.loads(out)
    assert told["took_s"] >= 0.04
    assert told["pid"] == pid
    assert told["celery"] == "redis://mine"
    assert f"Relay on second: 127.0.0.1:{listen} leads to 127.0.0.1:{port}, a round trip takes 40.0 ms more" in err
    assert f"a connection to 127.0.0.1:{port} takes" in err
    assert until(lambda: not is_open(listen), PATIENCE_S)


def test_a_command_that_is_killed_takes_the_relay_with_it():
    with server(echo) as port:
        listen = free_port()
        process = relay("--to", f"127.0.0.1:{port}", "--listen", str(listen), "--rtt", "1ms", "--", "sleep", "60")
        assert until(lambda: is_open(listen), PATIENCE_S)
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        assert until(lambda: not is_open(listen), PATIENCE_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_command_it_relays_until_it_is_interrupted_and_tells_what_it_carried(number):
    with server(echo) as port:
        listen = free_port()
        process = relay("--to", f"127.0.0.1:{port}", "--listen", str(listen), "--rtt", "0")
        assert "a round trip takes nothing more" in process.stderr.readline()
        with socket.create_connection(("127.0.0.1", listen), timeout=PATIENCE_S) as sock:
            sock.sendall(b"hello")
            assert sock.recv(5) == b"hello"
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "Carried 2 chunks, 10 bytes" in err


def test_a_broker_that_is_not_there_yet_is_told_and_reached_once_it_is():
    port, listen = free_port(), free_port()
    process = relay("--to", f"127.0.0.1:{port}", "--listen", str(listen), "--rtt", "1ms")
    assert f"127.0.0.1:{port} cannot be reached yet (Connection refused)" in process.stderr.readline()
    with socket.create_server(("127.0.0.1", port)) as broker, socket.create_connection(("127.0.0.1", listen)) as sock:
        sock.sendall(b"hello")
        with broker.accept()[0] as there:
            there.settimeout(PATIENCE_S)
            assert there.recv(5) == b"hello"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--to: name the broker's address"),
        (["--to", "redis:6379"], "--rtt: name the round trip to add"),
        (["--to", "redis", "--rtt", "1ms"], "--to 'redis': must be HOST:PORT"),
        (["--to", "redis:6379", "--rtt", "second=far"], "--rtt 'far': must be a time"),
        (["--to", "redis:6379", "--rtt", "1ms", "--", "no-such-command"], "no-such-command: no such command"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line(words, says):
    code, out, err, _ = ended(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("poolrace: ")
    assert says in err
