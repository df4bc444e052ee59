"""The stack, built and run for real, once for all tests below; skipped where there is no Docker, unless it must be."""

import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UP_S = 300


def docker_missing() -> str | None:
    """Why there is no Docker here; None if there is."""
    try:
        subprocess.run(["docker", "compose", "version"], check=True, capture_output=True)
        subprocess.run(["docker", "info"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"needs a Docker engine with Compose v2: {error}"
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stack:
    """One Compose project."""

    def __init__(self) -> None:
        self.project = f"poolrace-test-{uuid.uuid4().hex[:8]}"
        self.flower = free_port()
        self._environ = {**os.environ, "FLOWER_PORT": str(self.flower), "POOLRACE_SLOTS": "4", "WORKER_CPUS": "1"}

    def compose(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`docker compose` on this project."""
        ended = subprocess.run(
            ["docker", "compose", "--progress", "quiet", "-p", self.project, *words],
            cwd=ROOT,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=UP_S,
            check=False,
        )
        assert not check or ended.returncode == 0, f"{words}: {ended.stdout}\n{ended.stderr}"
        return ended

    def python(self, code: str, *arguments: str) -> str:
        """Run Python in a new container of the producer, which knows the broker; returns what it printed."""
        words = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "python", "producer", "-c", code, *arguments)
        return self.compose(*words).stdout

    def begin_python(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """The same, without waiting for its end."""
        words = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "python", "producer", "-c", code, *arguments)
        return subprocess.Popen(
            ["docker", "compose", "--progress", "quiet", "-p", self.project, *words],
            cwd=ROOT,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def left(self) -> list[str]:
        """Containers, volumes and networks of this project."""
        label = f"label=com.docker.compose.project={self.project}"
        lists = (["ps", "-aq"], ["volume", "ls", "-q"], ["network", "ls", "-q"])
        found = [
            subprocess.run(["docker", *words, "--filter", label], check=True, capture_output=True, text=True).stdout
            for words in lists
        ]
        return "".join(found).split()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The stack, up and healthy."""
    missing = docker_missing()
    if missing and os.environ.get("POOLRACE_DOCKER") == "required":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    running = Stack()
    try:
        running.compose("build")
        running.compose("up", "--detach", "--wait")
        yield running
    finally:
        running.compose("down", "--volumes", "--remove-orphans")
        assert running.left() == []
