"""Whether asyncio is parallel."""

import asyncio
import threading
import time
from collections.abc import Coroutine

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, true
from producer.lessons.timing import run_together_s

WAITS, WAIT_S, CPU_S = 200, 0.05, 0.05

LESSON = Lesson(
    order=21,
    vietnamese="",
    english="asyncio is concurrent, and not parallel.",
    tried=f"Bare Python: {WAITS} waits of {WAIT_S * 1_000:g} ms in one asyncio loop and in {WAITS} threads; then two "
    "coroutines that count in Python, in one loop.",
    question=f"How many milliseconds do {WAITS} waits of {WAIT_S * 1_000:g} ms take in one asyncio loop?",
    guessed="loop_ms",
    measures={
        "loop_ms": Measure(title=f"{WAITS} waits in one loop", unit="ms"),
        "threads_ms": Measure(title=f"{WAITS} waits in {WAITS} threads", unit="ms"),
        "cores": Measure(title="two counting coroutines", unit="cores"),
    },
    expected=(Verdict.TRUE, Verdict.TRUE),
    advice="A task that is an `async def` is not awaited by Celery: call asyncio.run inside it. One such job may hold "
    "hundreds of waits in one slot; a coroutine that computes stops all others in it.",
)


def observe(_bench: Bench) -> Observed:
    """Wait in a loop and in threads, and count in two coroutines."""
    while True:
        loop_s = took_s(*[asyncio.sleep(WAIT_S) for _ in range(WAITS)])
        cpu_s, cores_s = time.process_time(), took_s(count(), count())
        cpu_s = time.process_time() - cpu_s
        yield Seen(figures={"loop_ms": 1_000 * loop_s, "threads_ms": 1_000 * threads_s(), "cores": cpu_s / cores_s})


def took_s(*work: Coroutine[None, None, None]) -> float:
    """Return how long coroutines take in one loop, in seconds."""

    async def all_of_it() -> float:
        began = time.perf_counter()
        await asyncio.gather(*work)
        return time.perf_counter() - began

    return asyncio.run(all_of_it())


async def count() -> None:
    """Count, and let others have their turn now and then."""
    until, number = time.process_time() + CPU_S, 0
    while time.process_time() < until:
        for _ in range(10_000):
            number += 1
        await asyncio.sleep(0)


def threads_s() -> float:
    """Return how long the waits take in threads, in seconds."""
    return run_together_s(threading.Thread(target=time.sleep, args=(WAIT_S,)) for _ in range(WAITS))


def judge(found: Found) -> Judgement:
    """Judge by the time of the waits, and by the cores that counting used."""
    loop, cores, one_by_one = found["loop_ms"], found["cores"], 1_000 * WAITS * WAIT_S
    if loop.below(one_by_one / 4) and cores.below(1.2):
        return true(f"{WAITS} waits took {loop:.3g} ms in one loop, and {one_by_one:,.0f} one after the other; two "
                    f"coroutines that count used {cores:.3g} cores.")  # fmt: skip
    if loop.above(one_by_one / 2) or cores.above(1.5):
        return false(f"the waits took {loop:.3g} ms, and two counting coroutines used {cores:.3g} cores.")
    return not_shown(f"the waits took {loop:.3g} ms, and two counting coroutines used {cores:.3g} cores.")


picture = bars(LESSON, f"{WAITS} waits of {WAIT_S * 1_000:g} ms", "loop_ms", "threads_ms", unit="ms")
