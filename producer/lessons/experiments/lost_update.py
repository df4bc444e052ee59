"""When threads that add to one counter lose updates."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
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


def plain() -> None:
    """Add with one statement."""
    global n
    for _ in range(ADDS):
        n += 1


def add(times: int, between: Callable[[], object], guard: AbstractContextManager[object]) -> None:
    """Add with a call between reading and writing, in a lock or not."""
    global n
    for _ in range(times):
        with guard:
            value = n
            between()
            n = value + 1


def observe(_bench: Bench) -> Observed:
    """Count what is lost in each way."""
    wait, lock, none = partial(time.sleep, 0.0002), threading.Lock(), nullcontext()
    while True:
        plain_, call = lost(plain, ADDS), lost(partial(add, ADDS, lambda: None, none), ADDS)
        waited, guarded = (lost(partial(add, WAITS, wait, guard), WAITS) for guard in (none, lock))
        yield Seen(figures={"plain": plain_, "call": call, "wait": waited, "locked": guarded})


def lost(work: Callable[[], None], times: int) -> float:
    """Return the share of the updates of two threads that were lost."""
    global n
    n = 0
    run_together_s(threading.Thread(target=work) for _ in range(2))
    return 1 - n / (2 * times)


def judge(found: Found) -> Judgement:
    """Judge by what was lost without a wait, and with one."""
    plain_, waited = found["plain"], found["wait"]
    if plain_.above(0.001):
        return true(f"`n += 1` alone lost {plain_:.1%} of the updates, and with a wait inside {waited:.0%} were lost.")
    if waited.above(0.1) and not found.python.free_threaded:
        return only_if(f"something comes between reading and writing: with a wait, {waited:.0%} were lost. `n += 1` "
                       f"lost {plain_:.3%} here, and that is no safety: CPython since 3.10 hands over at calls and "
                       "jumps back alone, which it may change, and a free-threaded build anywhere.")  # fmt: skip
    return not_shown(f"`n += 1` lost {plain_:.3%}: the two threads hardly ever ran at once.")


picture = bars(LESSON, "Updates lost by two threads", unit="%", full=1)
