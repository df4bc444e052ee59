"""What it costs to create a process, and a thread."""

import math
import multiprocessing
import statistics
import threading
from collections.abc import Callable
from typing import Any

from producer.lessons.bench import private_kib, start_s
from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, true
from producer.lessons.timing import run_together_s, waiting

THREADS, PROCESSES, IDLE = 50, 8, 8

LESSON = Lesson(
    order=2,
    vietnamese="Chi phí của processes cao hơn threads bởi việc đóng và mở chương trình mất nhiều thời gian hơn.",
    english="A process costs more than a thread, since it takes longer to open and to close.",
    tried=f"Bare Python: create, start and join {THREADS} threads and {PROCESSES} forked processes that do nothing, "
    f"one after the other; then let {IDLE} of each wait, and read their memory. And once, nodes of {IDLE} slots: from "
    "the start of the node until each slot has run a job.",
    question="How many times as long as a thread does a forked process take to start and end?",
    guessed="ratio",
    measures={
        "thread": Measure(title="a thread: create, start, join", unit="s"),
        "process": Measure(title="a forked process: create, start, join", unit="s"),
        "ratio": Measure(title="process over thread"),
        "thread_kib": Measure(title="memory of a waiting thread", unit="KiB"),
        "process_kib": Measure(title="memory of a waiting process, not shared", unit="KiB"),
        "prefork_node": Measure(title=f"a prefork node of {IDLE} slots, until each ran a job", unit="s"),
        "threads_node": Measure(title=f"a threads node of {IDLE} slots, until each ran a job", unit="s"),
    },
    expected=(Verdict.TRUE, Verdict.TRUE),
    advice="Both cost nothing beside a job, since a pool starts its slots once. Starting them for every job is what "
    "costs: that is what --max-tasks-per-child=1 does. Memory is what stays: count it per slot.",
)


def observe(_bench: Bench) -> Observed:
    """Time the start of nodes once, and the life of threads and processes; read the memory of waiting ones."""
    fork = multiprocessing.get_context("fork")
    nodes = {f"{pool}_node": start_s(pool, IDLE) for pool in ("prefork", "threads")}
    while True:
        thread_s, process_s = life_s(threading.Thread, THREADS), life_s(fork.Process, PROCESSES)
        figures = {"thread": thread_s, "process": process_s, "ratio": process_s / thread_s, **nodes}
        nodes = dict.fromkeys(nodes, math.nan)
        before, event, other_event = private_kib("self"), threading.Event(), fork.Event()
        with waiting([threading.Thread(target=event.wait) for _ in range(IDLE)], event.set):
            figures["thread_kib"] = max(0.0, private_kib("self") - before) / IDLE
        with waiting([fork.Process(target=other_event.wait) for _ in range(IDLE)], other_event.set) as processes:
            figures["process_kib"] = sum(private_kib(str(each.pid)) for each in processes) / IDLE
        yield Seen(figures=figures)


def life_s(kind: Callable[..., Any], count: int) -> float:
    """Return how long one takes to be created, started and joined, in seconds, on average."""
    return statistics.fmean(run_together_s([kind(target=int)]) for _ in range(count))


def judge(found: Found) -> Judgement:
    """Judge by the ratio of their times."""
    ratio = found["ratio"]
    if ratio.above(1.5):
        return true(f"a forked process took {ratio:.3g} times as long as a thread.")
    if ratio.below(1):
        return false(f"a forked process took {ratio:.3g} times as long as a thread.")
    return not_shown(f"the times were too unsteady: {ratio:.3g}.")


picture = bars(LESSON, "To create, start and join one", "thread", "process", unit="s")
