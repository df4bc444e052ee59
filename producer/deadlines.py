"""Waits for something to come true, and no longer than it may take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LOOK_EVERY_S = 0.05


def until(
    condition: Callable[[], T],
    timeout_s: float,
    *,
    every_s: float = LOOK_EVERY_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """
    Ask again and again until the answer is true or the time is over, and return the last answer.

    Args:
        condition: Gives the answer; it is asked once at least.
        timeout_s: How long it may take, in seconds.
        every_s: The pause between two questions; 0 if the condition itself takes its time.
        clock: Seconds, from any instant.
        sleep: Waits for some seconds.
    """
    deadline = clock() + timeout_s
    while not (answer := condition()) and clock() < deadline:
        sleep(every_s)
    return answer
