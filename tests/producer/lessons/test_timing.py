"""Work of several threads or jobs together, with hand-made jobs and real threads."""

from __future__ import annotations

import threading
from contextlib import suppress

from producer.lessons.bench import Ran
from producer.lessons.timing import cores_used, run_together_s, together_s, waiting


def ran(begin_s: float, end_s: float, cpu_s: float) -> Ran:
    return Ran(value=None, begin_s=begin_s, end_s=end_s, cpu_s=cpu_s, slot="1/1")


def test_jobs_take_from_the_first_start_to_the_last_end() -> None:
    assert together_s([ran(3, 5, 0), ran(1, 2, 0), ran(2, 4, 0)]) == 4


def test_cores_used_are_the_cpu_time_over_the_time_that_passed() -> None:
    assert cores_used([ran(0, 2, 1.5), ran(0, 2, 1.5)]) == 1.5


def test_threads_run_together_and_have_ended_afterwards() -> None:
    meet = threading.Barrier(3)  # broken unless all three are there at once
    threads = [threading.Thread(target=meet.wait, args=(10,)) for _ in range(3)]
    assert run_together_s(threads) > 0
    assert not meet.broken
    assert not any(each.is_alive() for each in threads)


def test_threads_that_wait_are_let_go_and_joined_whatever_happens_meanwhile() -> None:
    event = threading.Event()
    threads = [threading.Thread(target=event.wait) for _ in range(2)]
    with suppress(ZeroDivisionError), waiting(threads, event.set) as waiters:
        assert all(each.is_alive() for each in waiters)
        raise ZeroDivisionError
    assert not any(each.is_alive() for each in threads)
