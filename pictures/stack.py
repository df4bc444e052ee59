"""A stack beside any other: its own Compose project, on a free port, removed afterwards."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def free_port() -> int:
    """Return a free port of this host."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """
    One Compose project.

    Attributes:
        project: Name of the project.
        port: Flower's port on 127.0.0.1.
        rate: Rate of the gentle load on each lane.
    """

    project: str = field(default_factory=lambda: f"poolrace-pictures-{os.getpid()}")
    port: int = field(default_factory=free_port)
    rate: str

    @property
    def address(self) -> str:
        """The address of Flower."""
        return f"http://127.0.0.1:{self.port}"

    def compose(self, *words: str) -> str:
        """Run a command of Compose; return its output. Exit with the end of its errors if it fails."""
        command = ["docker", "compose", "--progress", "quiet", "-p", self.project, *words]
        environ = {**os.environ, "FLOWER_PORT": str(self.port), "POOLRACE_LIVE_RATE": self.rate}
        try:
            ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
        except FileNotFoundError:
            sys.exit("no docker on the PATH: the pictures are taken from the compose stack, which needs it")
        if ended.returncode:
            sys.exit(f"{' '.join(command)}: {ended.stderr.strip()[-2000:]}")
        return ended.stdout

    def login(self) -> tuple[str, str]:
        """Return Flower's user and password."""
        shown = dict(re.findall(r"(user|password): (\S+)", self.compose("run", "--rm", "-T", "secrets", "show")))
        return shown["user"], shown["password"]

    def set_load(self, *settings: str) -> None:
        """Change the settings of the load."""
        self.compose("run", "--rm", "-T", "producer", "live", "set", *settings)


@contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """Start the stack, wait until it is healthy, and remove it afterwards."""
    stack.compose("build")
    try:
        stack.compose("up", "--detach", "--wait")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans")
