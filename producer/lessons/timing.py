"""Work of several threads, processes or jobs together, and how long it takes. Standard library only."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from producer.lessons.bench import Ran

SETTLE_S = 0.01
"""The time that threads and processes have to come to where they wait."""


class Startable(Protocol):
    """A thread or a process."""

    def start(self) -> None:
        """Start it."""

    def join(self) -> None:
        """Wait for its end."""


Each = TypeVar("Each", bound=Startable)


def run_together_s(made: Iterable[Startable]) -> float:
    """Make threads or processes, start all, then join all; return how long that took, in seconds."""
    began = time.perf_counter()
    all_made = list(made)
    _start(all_made)
    _join(all_made)
    return time.perf_counter() - began


def at_once(work: Callable[[], float]) -> float:
    """Return the time that two threads spent at work, as it tells, over the time that passed."""
    took: list[float] = []
    passed_s = run_together_s(threading.Thread(target=lambda: took.append(work())) for _ in range(2))
    return sum(took) / passed_s


def used_cpu_s(work: Callable[[], Any], cpu_s: float) -> float:
    """Do work for so many seconds of this thread's CPU time, and return what it used, in seconds."""
    began = time.thread_time()
    while time.thread_time() < began + cpu_s:
        work()
    return time.thread_time() - began


def took_s(work: Callable[[], Any], times: int = 1) -> float:
    """Do work some times, and return how long once took, on average, in seconds."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def slept_s(seconds: float, times: int = 1) -> float:
    """Sleep some times; return how long one took, on average, in seconds: a sleep is longer than it is asked to be."""
    return took_s(lambda: time.sleep(seconds), times)


def in_turn(one: Callable[[], Any], other: Callable[[], Any]) -> float:
    """Return how many times as long one takes as the other, each once before it and once after it."""
    one()  # slower than all that follow, whichever way it is made
    first, second, third, fourth = took_s(one), took_s(other), took_s(other), took_s(one)
    return (first + fourth) / (second + third)


@contextmanager
def waiting(made: Sequence[Each], end: Callable[[], None]) -> Iterator[Sequence[Each]]:
    """Start threads or processes that wait, and give them a moment; at the end, `end` lets them go on, to their end."""
    _start(made)
    time.sleep(SETTLE_S)
    try:
        yield made
    finally:
        end()
        _join(made)


def together_s(ran: Sequence[Ran]) -> float:
    """Return the time from the first start of jobs to the last end, in seconds."""
    return max(each.end_s for each in ran) - min(each.begin_s for each in ran)


def cores_used(ran: Sequence[Ran]) -> float:
    """Return the cores that jobs used together: their CPU time, over the time from the first start to the last end."""
    return sum(each.cpu_s for each in ran) / together_s(ran)


def _start(made: Iterable[Startable]) -> None:
    for each in made:
        each.start()


def _join(made: Iterable[Startable]) -> None:
    for each in made:
        each.join()
