"""Waiting for nothing at all: what a pool adds to a wait, and only that."""

from __future__ import annotations

import time


def sleep(delay_us: int) -> None:
    """
    Do nothing for a while.

    Args:
        delay_us: How long, in microseconds.
    """
    time.sleep(delay_us / 1e6)
