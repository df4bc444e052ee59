"""Waiting for what takes its time in containers."""

from collections.abc import Callable
from typing import TypeVar

from producer import deadlines

PATIENCE_S = 150

T = TypeVar("T")


def until(condition: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Wait until a condition gives something true."""
    found = deadlines.until(condition, patience_s, every_s=0.5)
    assert found, "it did not come true in time"
    return found
