"""Waiting for nothing at all: the cost that a pool adds to a wait, and only that."""

from __future__ import annotations

import time

from worker.workload import Sizing, Workload


def sleep(delay_us: int) -> None:
    """
    Do nothing for a while.

    Args:
        delay_us: The duration, in microseconds.
    """
    time.sleep(delay_us / 1e6)


WORKLOAD = Workload(
    name="sleep",
    function=sleep,
    sizing=Sizing.WAIT,
    target_s=0.050,
)
