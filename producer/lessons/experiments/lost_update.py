"""When threads that add to one counter lose updates."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from producer.lessons.experiment import Bars, Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict
from producer.lessons.lesson import not_shown, only_if, true
from producer.lessons.timing import run_together_s

ADDS, WAITS = 400_000, 60

LESSON = Lesson(
    order=17,
    vietnamese="",
    english="Without a lock, threads that add to one counter lose updates.",
    tried=f"Bare Python: two threads add to a global counter: {ADDS:,} times with `n += 1`; as often with a call "
    f"between reading and writing; {WAITS} times with a short wait between them, as for a database.",
    question="How many per cent of the updates are lost if a thread waits between reading and writing?",
    guessed="wait",
    measures={
        "plain": Measure(title="n += 1", unit="%"),
        "call": Measure(title="value = n; call(); n = value + 1", unit="%"),
        "wait": Measure(title="value = n; wait; n = value + 1", unit="%"),
        "locked": Measure(title="the same with the wait, in a lock", unit="%"),
    },
    expected=(Verdict.ONLY_IF, Verdict.TRUE),
    advice="A job that reads a value, asks Redis or SQL, and writes it back loses updates on every pool and every "
    "build. Let the store add (INCR, UPDATE … SET n = n + 1), or lock there.",
    needs_cores=2,
)

n = 0
NOTHING = nullcontext()


def call() -> None:
    """Do nothing, in a call."""


def plain() -> None:
    """Add with one statement."""
    global n
    for _ in range(ADDS):
        n += 1


def with_call() -> None:
    """Add with a call between reading and writing."""
    global n
    for _ in range(ADDS):
        value = n
        call()
        n = value + 1


def with_wait(lock: AbstractContextManager[object] = NOTHING) -> None:
    """Add with a wait between reading and writing; with a lock, inside it."""
    global n
    for _ in range(WAITS):
        with lock:
            value = n
            time.sleep(0.0002)
            n = value + 1


def observe(_bench: Bench) -> Observed:
    """Count what is lost in each way."""
    while True:
        figures = {"plain": lost(plain, ADDS), "call": lost(with_call, ADDS), "wait": lost(with_wait, WAITS)}
        yield Seen(figures={**figures, "locked": lost(partial(with_wait, threading.Lock()), WAITS)})


def lost(add: Callable[[], None], times: int) -> float:
    """Return the share of the updates of two threads that were lost."""
    global n
    n = 0
    run_together_s(threading.Thread(target=add) for _ in range(2))
    return 1 - n / (2 * times)


def judge(found: Found) -> Judgement:
    """Judge by what was lost without a wait, and with one."""
    plain_, wait, python = found["plain"], found["wait"], found.python
    if plain_.above(0.001):
        return true(f"`n += 1` alone lost {plain_:.1%} of the updates, and with a wait inside {wait:.0%} were lost.")
    if wait.above(0.1) and not python.free_threaded:
        return only_if(
            f"something comes between reading and writing: with a wait, {wait:.0%} were lost. `n += 1` lost "
            f"{plain_:.3%} here, and that is no safety: since 3.10 CPython hands over at calls and jumps back "
            "alone, which it may change, and a free-threaded build hands over anywhere."
        )
    return not_shown(f"`n += 1` lost {plain_:.3%}; on a free-threaded build that means only that the two threads "
                     "hardly ever ran at once.")  # fmt: skip


def picture(found: Found) -> Bars:
    """Draw the shares lost."""
    return Bars(title="Updates lost by two threads", unit="%", rows=found.titled(LESSON), full=1)
