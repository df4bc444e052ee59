"""The HTTP server that io and mixed jobs fetch from."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import worker
from worker import upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

ROOT = Path(worker.__file__).parents[1]
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
AT_ONCE_S = 20
"""Far more than an end takes on a busy machine, and far less than the minute that a delayed answer would take."""


def address_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def connect(url: str) -> socket.socket:
    return socket.create_connection(address_of(url), timeout=30)


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: upstream\r\n\r\n".encode()


@pytest.fixture
def connection(upstream_url: str) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(*address_of(upstream_url), timeout=30)
    yield connection
    connection.close()


def ask(connection: http.client.HTTPConnection, method: str, target: str) -> tuple[int, bytes]:
    connection.request(method, target)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_items_are_a_json_document_of_about_2_kb(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/items?delay_us=1000")
    answer = connection.getresponse()
    body = answer.read()
    assert (answer.status, answer.getheader("Content-Type")) == (200, "application/json")
    assert 1900 < len(body) < 2300
    assert len(json.loads(body)["items"]) == upstream.ITEMS


def test_items_are_the_same_every_time(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, "GET", "/items") == ask(connection, "GET", "/items?delay_us=1")


def test_it_says_that_it_runs(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, "GET", "/healthz") == (200, b"ok\n")


def test_a_connection_serves_many_requests_whatever_their_answers(connection: http.client.HTTPConnection) -> None:
    statuses = [ask(connection, "GET", "/healthz")[0]]
    first = connection.sock
    targets = ["/items", "/nowhere", "/items?delay_us=soon", "/items?other=1&delay_us=007"]
    statuses += [ask(connection, "GET", target)[0] for target in targets]
    assert statuses == [200, 200, 404, 400, 200]
    assert connection.sock is first


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/"), ("GET", "/items/1"), ("POST", "/items"), ("DELETE", "/healthz")]
)
def test_anything_else_is_not_found_with_a_hint(
    connection: http.client.HTTPConnection, method: str, target: str
) -> None:
    assert ask(connection, method, target) == (404, b"GET /items?delay_us=50000 or GET /healthz\n")


@pytest.mark.parametrize("delay", ["-1", "60000001", "999999999999", "1.5", "soon", "", "%C2%B2", "1_000", "%0A5"])
def test_a_bad_delay_is_refused_in_a_sentence(connection: http.client.HTTPConnection, delay: str) -> None:
    status, body = ask(connection, "GET", f"/items?delay_us={delay}")
    assert status == 400
    assert body.endswith(b": must be a whole number from 0 to 60000000\n")


def test_garbage_gets_a_400_and_the_service_stays(upstream_url: str, connection: http.client.HTTPConnection) -> None:
    with connect(upstream_url) as client:
        client.sendall(b"hello\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.split(b" ")[1] == b"400"
    assert ask(connection, "GET", "/healthz")[0] == 200


def test_a_delayed_answer_keeps_nobody_else_waiting(upstream_url: str, connection: http.client.HTTPConnection) -> None:
    with connect(upstream_url) as patient:
        patient.sendall(get("/items?delay_us=60000000"))
        assert ask(connection, "GET", "/items")[0] == 200
        patient.setblocking(False)
        with pytest.raises(BlockingIOError):
            patient.recv(1)


def test_a_client_that_vanishes_harms_nobody(own_upstream: tuple[subprocess.Popen[str], str]) -> None:
    process, url = own_upstream
    for _ in range(20):
        with connect(url) as client:
            client.sendall(get("/items?delay_us=1000"))
    with connect(url) as client:
        client.sendall(get("/items?delay_us=5000"))
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    process.send_signal(signal.SIGTERM)
    assert (process.communicate(timeout=AT_ONCE_S)[1], process.returncode) == ("", 0)


@pytest.mark.skipif(
    not SOMAXCONN.exists() or int(SOMAXCONN.read_text()) < upstream.BACKLOG, reason="the system allows no such backlog"
)
def test_hundreds_of_clients_may_connect_while_it_is_busy(own_upstream: tuple[subprocess.Popen[str], str]) -> None:
    process, url = own_upstream
    process.send_signal(signal.SIGSTOP)
    with ExitStack() as clients:
        # Past the backlog a connection is not refused but waits, here in vain.
        for _ in range(500):
            clients.enter_context(socket.create_connection(address_of(url), timeout=5))
        process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_with_connections_open(
    own_upstream: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    process, url = own_upstream
    with connect(url) as idle, connect(url) as waiting:
        waiting.sendall(get("/healthz"))
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200")
        waiting.sendall(get("/items?delay_us=60000000"))
        process.send_signal(number)
        _, errors = process.communicate(timeout=AT_ONCE_S)
        assert (process.returncode, errors) == (0, "")
        assert ends(idle)
        assert ends(waiting)


def ends(client: socket.socket) -> bool:
    """Wait until the service closes the connection, in either way."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_client_that_does_not_read_cannot_keep_it_from_ending(
    own_upstream: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = own_upstream
    with connect(url) as greedy:
        greedy.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                greedy.send(get("/items") * 1000)
        process.send_signal(signal.SIGTERM)
        assert (process.communicate(timeout=AT_ONCE_S)[1], process.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "many"], "'many': must be a whole number from 0 to 65535"),
        (["--port", "65536"], "'65536': must be a whole number from 0 to 65535"),
        (["--port", "-1"], "must be a whole number from 0 to 65535"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1 --port 0: "),
    ],
)
def test_a_bad_argument_exits_2_and_says_what_is_allowed(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        upstream.main(arguments)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err


def test_a_port_in_use_is_an_error_without_a_traceback(upstream_url: str) -> None:
    port = str(address_of(upstream_url)[1])
    command = [sys.executable, "-m", "worker.upstream", "--port", port]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert f"--port {port}: " in ended.stderr
    assert "address already in use" in ended.stderr.lower()
    assert "Traceback" not in ended.stderr


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert upstream.url_of("::1", 80) == "http://[::1]:80"
    assert upstream.url_of("127.0.0.1", 80) == "http://127.0.0.1:80"


def test_it_serves_on_ipv6(
    start_upstream: Callable[..., AbstractContextManager[tuple[subprocess.Popen[str], str]]],
) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with start_upstream("--host", "::1") as (_, url), connect(url) as client:
        assert url.startswith("http://[::1]:")
        client.sendall(get("/healthz"))
        assert client.recv(65536).endswith(b"\r\n\r\nok\n")
