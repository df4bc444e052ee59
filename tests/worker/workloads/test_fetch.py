"""Waiting for another service, over HTTP."""

from __future__ import annotations

import http.server
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import urllib3

from worker import upstream
from worker.workloads import fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Broken(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path names; `/0` hangs up instead."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status = int(self.path.split("/")[1])
        if status:
            self.send_response(status)
            self.send_header("Location", "/200/")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


@pytest.fixture
def broken() -> Iterator[tuple[str, list[str]]]:
    """Yield the URL of a broken service, and a list of the paths that it is asked for."""
    asked: list[str] = []
    handler = type("Handler", (Broken,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_it_returns_the_size_of_the_document(upstream_url: str) -> None:
    assert fetch.fetch(1000, upstream_url=upstream_url) == len(upstream.make_document())


def test_the_document_comes_whole(upstream_url: str) -> None:
    assert fetch.get_items(0, upstream_url=upstream_url) == upstream.make_document()


@pytest.mark.parametrize(("delay_us", "path", "status"), [(0, "/nowhere", 404), (-1, "", 400), (60_000_001, "", 400)])
def test_an_answer_that_is_not_200_is_an_error(upstream_url: str, delay_us: int, path: str, status: int) -> None:
    with pytest.raises(fetch.UpstreamError, match=f"answered {status}, not 200"):
        fetch.fetch(delay_us, upstream_url=upstream_url + path)


@pytest.mark.parametrize("status", [500, 503, 302, 204])
def test_neither_errors_nor_redirections_are_tried_again(broken: tuple[str, list[str]], status: int) -> None:
    url, asked = broken
    with pytest.raises(fetch.UpstreamError, match=f"answered {status}, not 200"):
        fetch.fetch(7, upstream_url=f"{url}/{status}")
    assert asked == [f"/{status}/items?delay_us=7"]


def test_a_service_that_hangs_up_is_an_error(broken: tuple[str, list[str]]) -> None:
    url, asked = broken
    with pytest.raises(urllib3.exceptions.HTTPError):
        fetch.fetch(7, upstream_url=f"{url}/0")
    assert asked == ["/0/items?delay_us=7"]


def test_a_service_that_is_not_there_is_an_error() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        with pytest.raises(urllib3.exceptions.HTTPError, match="refused"):
            fetch.fetch(0, upstream_url=f"http://127.0.0.1:{port}")


def test_a_connection_is_used_again(own_upstream: tuple[object, str]) -> None:
    _, url = own_upstream
    for _ in range(5):
        fetch.fetch(0, upstream_url=url)
    connections = fetch.connections_of(os.getpid()).connection_from_url(url)
    assert isinstance(connections, urllib3.HTTPConnectionPool)
    assert (connections.num_connections, connections.num_requests) == (1, 5)


def test_threads_share_connections_without_mixing_them_up(upstream_url: str) -> None:
    document = upstream.make_document()
    with ThreadPoolExecutor(16) as threads:
        came = threads.map(lambda number: fetch.get_items(number % 7, upstream_url=upstream_url), range(400))
        assert all(each == document for each in came)


def test_a_process_has_one_set_of_connections_however_many_threads_ask_at_once() -> None:
    together = threading.Barrier(16)

    def ask(_: int) -> int:
        together.wait()
        return id(fetch.connections_of(-1))

    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(ask, range(16)))) == 1


def test_a_forked_process_does_not_use_its_parents_connections() -> None:
    assert fetch.connections_of(-1) is fetch.connections_of(-1)
    assert fetch.connections_of(-1) is not fetch.connections_of(-2)


def test_it_gives_up_the_gil(upstream_url: str, lets_others_run: Callable[..., bool]) -> None:
    assert lets_others_run(lambda: fetch.fetch(1000, upstream_url=upstream_url))
