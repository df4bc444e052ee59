"""A stack of our own beside any other: its own Compose project, on a free port, gone afterwards."""

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
    """A port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """
    One Compose project.

    Attributes:
        port: Flower's, on 127.0.0.1.
        rate: The gentle load's, on each lane.
    """

    project: str = field(default_factory=lambda: f"poolrace-pictures-{os.getpid()}")
    port: int = field(default_factory=free_port)
    rate: str

    @property
    def address(self) -> str:
        """Where Flower is."""
        return f"http://127.0.0.1:{self.port}"

    def compose(self, *words: str) -> str:
        """Run a command of Compose; returns what it prints. If it fails, so do we, with its last words."""
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
        """Flower's user and password."""
        shown = dict(re.findall(r"(user|password): (\S+)", self.compose("run", "--rm", "-T", "secrets", "show")))
        return shown["user"], shown["password"]

    def send(self, *orders: str) -> None:
        """Give the load other orders."""
        self.compose("run", "--rm", "-T", "producer", "live", "set", *orders)


@contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """The stack, up and healthy; nothing is left of it."""
    stack.compose("build")
    try:
        stack.compose("up", "--detach", "--wait")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans")
