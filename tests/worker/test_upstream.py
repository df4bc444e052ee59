"""The service that io and mixed jobs fetch from."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

import worker
from worker import upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(worker.__file__).parents[1]


def address_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


@pytest.fixture
def connection(upstream_url: str) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(*address_of(upstream_url), timeout=30)
    yield connection
    connection.close()


def ask(connection: http.client.HTTPConnection, method: str, target: str) -> tuple[int, bytes]:
    connection.request(method, target)
    answer = connection.getresponse()
    return answer.status, answer.read()


def exchange(url: str, sent: bytes) -> bytes:
    """All that comes back until the service closes the connection."""
    with socket.create_connection(address_of(url), timeout=30) as client:
        client.sendall(sent)
        return b"".join(iter(lambda: client.recv(65536), b""))


def read_bytes(sent: bytes) -> upstream.Request | None:
    """What the service makes of bytes after which the client sends no more."""

    async def read() -> upstream.Request | None:
        reader = asyncio.StreamReader(limit=upstream.LINE_LIMIT_BYTES)
        reader.feed_data(sent)
        reader.feed_eof()
        return await upstream.read_request(reader)

    return asyncio.run(read())


def test_items_are_a_json_document_of_about_2_kb(connection: http.client.HTTPConnection) -> None:
    status, body = ask(connection, "GET", "/items?delay_us=1000")
    assert status == 200
    assert 1900 < len(body) < 2300
    assert len(json.loads(body)["items"]) == upstream.ITEMS


def test_items_are_the_same_every_time(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, "GET", "/items") == ask(connection, "GET", "/items?delay_us=1")


def test_a_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    ask(connection, "GET", "/healthz")
    first = connection.sock
    assert ask(connection, "GET", "/items")[0] == 200
    assert ask(connection, "GET", "/nowhere")[0] == 404
    assert ask(connection, "HEAD", "/items") == (404, b"")
    assert ask(connection, "GET", "/healthz") == (200, b"ok\n")
    assert connection.sock is first


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/"), ("GET", "/items/1"), ("HEAD", "/healthz"), ("POST", "/items")]
)
def test_whatever_is_not_served_is_not_found(connection: http.client.HTTPConnection, method: str, target: str) -> None:
    assert ask(connection, method, target)[0] == 404


@pytest.mark.parametrize("delay", ["-1", "60000001", "999999999999", "1.5", "soon", "", "%C2%B2", "1_000"])
def test_a_delay_that_is_none_is_refused(connection: http.client.HTTPConnection, delay: str) -> None:
    status, body = ask(connection, "GET", f"/items?delay_us={delay}")
    assert status == 400
    assert b"must be a whole number from 0 to 60000000" in body


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n",
        b"\r\n\r\n",
        b"GET /items\r\n\r\n",
        b"get /items HTTP/1.1\r\n\r\n",
        b"GET items HTTP/1.1\r\n\r\n",
        b"GET /items HTTP/2.0\r\n\r\n",
        b"GET /items HTTP/1.1\r\nno header\r\n\r\n",
        b"GET /items HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xff\n",
        bytes(20_000),
    ],
)
def test_garbage_gets_a_400_and_the_service_stays(
    upstream_url: str, connection: http.client.HTTPConnection, garbage: bytes
) -> None:
    assert exchange(upstream_url, garbage).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert ask(connection, "GET", "/healthz")[0] == 200


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda tail: b"GET /items?" + tail))
def test_no_bytes_do_worse_than_a_400(sent: bytes) -> None:
    try:
        request = read_bytes(sent)
    except upstream.BadRequestError:
        return
    assert request is None or request.path.startswith("/")


def test_a_client_that_sends_nothing_is_left_in_peace() -> None:
    assert read_bytes(b"") is None


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\nHost: x\n\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
    ],
)
def test_a_connection_goes_on_only_where_a_request_can_follow(head: bytes, keep_alive: bool) -> None:
    request = read_bytes(head)
    assert request is not None
    assert request.keep_alive is keep_alive


def test_path_and_query_are_told_apart() -> None:
    request = read_bytes(b"GET /items?delay_us=5?&x HTTP/1.1\r\n\r\n")
    assert request == upstream.Request(method="GET", path="/items", query="delay_us=5?&x", keep_alive=True)


@pytest.mark.parametrize(("query", "delay_us"), [("", 0), ("other=1", 0), ("delay_us=7", 7), ("a=b&delay_us=007", 7)])
def test_the_delay_comes_from_the_query(query: str, delay_us: int) -> None:
    assert upstream.read_delay_us(query) == delay_us


def test_pipelined_requests_are_answered_in_order(upstream_url: str) -> None:
    request = b"GET %s HTTP/1.1\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
    came = exchange(upstream_url, request % b"/items?delay_us=20000" + request % b"/nowhere" + last)
    assert came.index(b" 200 OK") < came.index(b" 404 Not Found") < came.index(b"\r\n\r\nok\n")


def test_a_delayed_answer_keeps_nobody_else_waiting(upstream_url: str, connection: http.client.HTTPConnection) -> None:
    with socket.create_connection(address_of(upstream_url), timeout=30) as patient:
        patient.sendall(b"GET /items?delay_us=60000000 HTTP/1.1\r\n\r\n")
        assert ask(connection, "GET", "/items")[0] == 200
        patient.setblocking(False)
        with pytest.raises(BlockingIOError):
            patient.recv(1)


def test_a_client_that_vanishes_harms_nobody(upstream_url: str, connection: http.client.HTTPConnection) -> None:
    for _ in range(20):
        with socket.create_connection(address_of(upstream_url), timeout=30) as client:
            client.sendall(b"GET /items?delay_us=1000 HTTP/1.1\r\n\r\n")
    assert ask(connection, "GET", "/items?delay_us=5000")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_connections_open(
    own_upstream: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    process, url = own_upstream
    address = address_of(url)
    with (
        socket.create_connection(address, timeout=30) as idle,
        socket.create_connection(address, timeout=30) as waiting,
    ):
        waiting.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200")
        waiting.sendall(b"GET /items?delay_us=60000000 HTTP/1.1\r\n\r\n")
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert ends(idle)
        assert ends(waiting)


def ends(client: socket.socket) -> bool:
    """The service has closed the connection, one way or the other."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_client_that_does_not_read_cannot_keep_it_from_ending(
    own_upstream: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = own_upstream
    with socket.create_connection(address_of(url), timeout=30) as greedy:
        greedy.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                greedy.send(b"GET /items HTTP/1.1\r\n\r\n" * 1000)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "many"], "'many': must be a whole number from 0 to 65535"),
        (["--port", "65536"], "'65536': must be a whole number from 0 to 65535"),
        (["--port", "-1"], "must be a whole number from 0 to 65535"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1 --port 0: "),
    ],
)
def test_a_bad_argument_is_told_and_exits_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        upstream.main(arguments)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err


def test_a_port_in_use_is_told_without_a_traceback(upstream_url: str) -> None:
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
