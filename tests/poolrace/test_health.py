"""Two files show whether a node is healthy; a service shows it over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from poolrace import health

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_000_000.0


def touch(path: Path, age_s: float) -> None:
    path.touch()
    os.utime(path, (NOW - age_s, NOW - age_s))


def test_a_node_that_never_ran_is_not_well(tmp_path: Path) -> None:
    assert health.problem(tmp_path, NOW) == "the node has not started"


def test_a_node_that_is_alive_is_not_yet_ready(tmp_path: Path) -> None:
    touch(tmp_path / "alive", 0)
    assert health.problem(tmp_path, NOW) == "the node is not ready"


@pytest.mark.parametrize("age_s", [0, 5, 15])
def test_a_node_that_is_alive_and_ready_is_well(tmp_path: Path, age_s: float) -> None:
    touch(tmp_path / "alive", age_s)
    touch(tmp_path / "ready", 3600)
    assert health.problem(tmp_path, NOW) is None


def test_a_node_whose_loop_stands_still_is_unhealthy_even_if_it_was_ready(tmp_path: Path) -> None:
    touch(tmp_path / "alive", 16)
    touch(tmp_path / "ready", 3600)
    assert health.problem(tmp_path, NOW) == "the event loop has not run for 16 s"


def answering(answer: bytes) -> Iterator[str]:
    """A service that gives one answer to everything."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/healthz"


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n\r\nok\n", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200\r\n\r\n"]
)
def test_a_service_that_answers_is_well(answer: bytes) -> None:
    for url in answering(answer):
        assert health.problem_of_service(url) is None


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 503 Service Unavailable"),
        (b"", ""),
        (b"SSH-2.0", "SSH-2.0"),
    ],
)
def test_a_service_that_answers_something_else_is_not(answer: bytes, shown: str) -> None:
    for url in answering(answer):
        assert health.problem_of_service(url) == f"{url} answers {shown!r}"


def test_a_service_that_is_not_there_is_not_well() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/healthz"
        assert "does not answer: " in (health.problem_of_service(url) or "")


def test_the_command_prints_the_problem_and_exits_with_1(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "poolrace.health", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (1, "the node has not started\n")
