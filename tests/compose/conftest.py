"""The stack, built and run for real, once for all tests below; skipped where there is no Docker, unless it must be."""

import os
import re
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UP_S = 300
METRICS = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9808/metrics').read().decode())"


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

    def __init__(self, **settings: str) -> None:
        self.project = f"poolrace-test-{uuid.uuid4().hex[:8]}"
        self.flower = free_port()
        usual = {"FLOWER_PORT": str(self.flower), "POOLRACE_CONCURRENCY": "4", "WORKER_CPUS": "1"}
        self._environ = {**os.environ, **usual, **settings}

    def set(self, **settings: str) -> None:
        """Change what the compose files take from the environment; it counts from the next command on."""
        self._environ |= settings

    def compose(self, *words: str, check: bool = True, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """`docker compose` on this project."""
        ended = subprocess.run(
            ["docker", "compose", "--progress", "quiet", "-p", self.project, *words],
            cwd=ROOT,
            env=self._environ,
            input=given,
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
        return self.begin(
            "run", "--rm", "-T", "--no-deps", "--entrypoint", "python", "producer", "-c", code, *arguments
        )

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """`docker compose` on this project, without waiting for its end."""
        return subprocess.Popen(
            ["docker", "compose", "--progress", "quiet", "-p", self.project, *words],
            cwd=ROOT,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def metrics(self) -> str:
        """What the gentle load tells Prometheus."""
        return self.compose("exec", "-T", "producer", "python", "-c", METRICS).stdout

    def login(self) -> tuple[str, str]:
        """Flower's user and password."""
        shown = dict(re.findall(r"(user|password): (\S+)", self.compose("run", "--rm", "-T", "secrets", "show").stdout))
        return shown["user"], shown["password"]

    def left(self) -> list[str]:
        """Containers, volumes and networks of this project."""
        label = f"label=com.docker.compose.project={self.project}"
        lists = (["ps", "-aq"], ["volume", "ls", "-q"], ["network", "ls", "-q"])
        found = [
            subprocess.run(["docker", *words, "--filter", label], check=True, capture_output=True, text=True).stdout
            for words in lists
        ]
        return "".join(found).split()


def started(running: Stack, *services: str) -> Iterator[Stack]:
    """A stack or some of its services, up and healthy; all of it is gone afterwards."""
    missing = docker_missing()
    if missing and os.environ.get("POOLRACE_DOCKER") == "required":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    try:
        running.compose("build")
        running.compose("up", "--detach", "--wait", *services)
        yield running
    finally:
        running.compose("--profile", "*", "down", "--volumes", "--remove-orphans")
        assert running.left() == []


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The stack, up and healthy."""
    yield from started(Stack())


@pytest.fixture(scope="session")
def faulty() -> Iterator[Stack]:
    """
    Redis and both workers of a stack that is there to be hurt.

    What a dead worker had taken comes back after seconds instead of an hour, and Redis is soon full.
    """
    settings = {
        "COMPOSE_FILE": "docker-compose.yml:tests/compose/faults.yaml",
        "POOLRACE_PREFETCH": "2",
        "POOLRACE_VISIBILITY_TIMEOUT_S": "6",
        "REDIS_MAXMEMORY": "32mb",
        "WORKER_MEMORY": "384m",
    }
    yield from started(Stack(**settings), "worker-prefork", "worker-threads")
