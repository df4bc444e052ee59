"""When threads that add to one counter lose updates."""

import threading
import time
from functools import partial
from typing import Any

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
from producer.lessons.lesson import not_shown, only_if, true
from producer.lessons.timing import run_together_s

ADDS, WAITS = 400_000, 60
WAYS = {
    "plain": ("n += 1", ADDS),
    "call": ("value = n; call(); n = value + 1", ADDS),
    "wait": ("value = n; wait(); n = value + 1", WAITS),
    "locked": ("with lock: value = n; wait(); n = value + 1", WAITS),
}

LESSON = Lesson(
    order=17,
    vietnamese="",
    english="Without a lock, threads that add to one counter lose updates.",
    tried=f"Bare Python: two threads add to a global counter: {ADDS:,} times with `n += 1`; as often with a call "
    f"between reading and writing; {WAITS} times with a short wait between them, as for a database.",
    question="How many per cent of the updates are lost if a thread waits between reading and writing?",
    guessed="wait",
    measures={way: Measure(title=statement, unit="%") for way, (statement, _) in WAYS.items()},
    expected=(Verdict.ONLY_IF, Verdict.TRUE),
    advice="A job that reads a value, asks Redis or SQL, and writes it back loses updates on every pool and every "
    "build. Let the store add (INCR, UPDATE … SET n = n + 1), or lock there.",
    needs_cores=2,
)


def observe(_bench: Bench) -> Observed:
    """Count what is lost in each way."""
    while True:
        yield Seen(figures={way: lost(statement, times) for way, (statement, times) in WAYS.items()})


def lost(statement: str, times: int) -> float:
    """Return the share of the updates that are lost if two threads each run a statement so often."""
    scope: Any = {"call": lambda: None, "wait": partial(time.sleep, 0.0002), "lock": threading.Lock(), "n": 0}
    exec(f"def add():\n  global n\n  for _ in range({times}):\n    {statement}", scope)  # noqa: S102 - as shown
    run_together_s(threading.Thread(target=scope["add"]) for _ in range(2))
    return 1 - float(scope["n"]) / (2 * times)


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
