"""Threads share the memory of their process: handing over costs a reference, not a copy."""

import multiprocessing
import os
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, true
from producer.lessons.timing import run_together_s, took_s

WRITERS, ROWS, TURNS = 8, 20_000, 5

LESSON = Lesson(
    order=6,
    vietnamese="Các threads giống như các Processes nhỏ bên trong một process. Chúng được thiết kế để chia sẻ không "
    "gian bộ nhớ và đọc ghi dữ liệu hiệu quả vào các biến giống nhau.",
    english="Threads are small processes inside a process, made to share its memory and variables efficiently.",
    tried=f"Bare Python: {WRITERS} threads write into one list and say in which process they are; then a list of "
    f"{ROWS:,} rows goes to a thread and back, and to a process and back.",
    question="How many times as long as to a thread does the list take to a process?",
    guessed="ratio",
    measures={
        "seen": Measure(title="values of the threads that the process sees", unit="%"),
        "processes": Measure(title="processes that the threads are in"),
        "thread": Measure(title="a list to a thread and back", unit="s"),
        "process": Measure(title="a list to a process and back", unit="s"),
        "ratio": Measure(title="to a process over to a thread"),
    },
    expected=(Verdict.TRUE, Verdict.TRUE),
    advice="On threads, clients, pools of connections and caches can be made once for a node: make them at import, and "
    "use those that say they are safe for threads.",
)


def observe(_bench: Bench) -> Observed:
    """Write from threads, and send a list to a thread and to a process."""
    rows = [{"id": number, "name": str(number)} for number in range(ROWS)]
    written: list[int] = []
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=fork) as process, ThreadPoolExecutor(1) as thread:
        there_and_back_s(process, rows)  # which starts it
        while True:
            written.clear()
            run_together_s(threading.Thread(target=lambda: written.append(os.getpid())) for _ in range(WRITERS))
            thread_s, process_s = there_and_back_s(thread, rows), there_and_back_s(process, rows)
            figures = {"seen": len(written) / WRITERS, "processes": len(set(written)), "ratio": process_s / thread_s}
            yield Seen(figures={**figures, "thread": thread_s, "process": process_s})


def same(data: object) -> object:
    """Return what came."""
    return data


def there_and_back_s(other: Executor, data: object) -> float:
    """Return how long data take to another and back, in seconds, on average."""
    return took_s(lambda: other.submit(same, data).result(), TURNS)


def judge(found: Found) -> Judgement:
    """Judge by what is seen, and by the ratio of the times."""
    seen, ratio = found["seen"], found["ratio"]
    if seen.above(0.99) and found["processes"].below(2) and ratio.above(2):
        return true(f"all threads are in one process, which sees all they write; a list of {ROWS:,} rows took "
                    f"{ratio:.3g} times as long to a process.")  # fmt: skip
    if seen.below(0.99) or ratio.below(1):
        return false(f"{seen:.0%} of the values were seen; to a process took {ratio:.3g} times as long.")
    return not_shown(f"to a process took {ratio:.3g} times as long as to a thread.")


picture = bars(LESSON, "A list there and back", "thread", "process", unit="s")
