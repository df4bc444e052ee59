"""Waiting for what takes its time in containers."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 150

T = TypeVar("T")


def until(condition: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Wait until a condition gives something true."""
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.5)
    return found
