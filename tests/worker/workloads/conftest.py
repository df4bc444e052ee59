"""A check whether a function lets other threads run, by the order of events and not by a clock."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOREVER_S = 1000.0


@pytest.fixture
def never_switching() -> Iterator[None]:
    """Ask no thread to give up the GIL, so that another runs only when a thread gives it up on its own."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("this interpreter runs without a GIL")
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(FOREVER_S)
    yield
    sys.setswitchinterval(before_s)


@pytest.fixture
def lets_others_run(never_switching: None) -> Callable[[Callable[[], object]], bool]:
    """Return a function that reports whether another thread gets to run during some work, given many chances."""

    def lets(work: Callable[[], object], chances: int = 2000) -> bool:
        gate, passed = threading.Lock(), threading.Event()
        gate.acquire()

        def wait_and_pass() -> None:
            with gate:
                passed.set()

        other = threading.Thread(target=wait_and_pass)
        other.start()
        # From here the other thread lacks nothing but the GIL.
        gate.release()
        for _ in range(chances):
            work()
            if passed.is_set():
                break
        ran = passed.is_set()
        other.join()
        return ran

    return lets
