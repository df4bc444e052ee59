"""Waiting for nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.workloads import sleep

if TYPE_CHECKING:
    from collections.abc import Callable


def test_it_gives_up_the_gil(lets_others_run: Callable[..., bool]) -> None:
    assert lets_others_run(lambda: sleep.sleep(1000))
