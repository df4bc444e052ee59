"""The textbook's own program, run as it is printed."""

import time
from contextlib import redirect_stdout
from itertools import pairwise
from typing import Any

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, printed
from producer.lessons.lesson import false, not_shown, true
from producer.lessons.textbook import PROGRAM

LESSON = Lesson(
    order=12,
    vietnamese="Hàm start() để chạy các thread đó.",
    english="The function start() runs the threads: the textbook's program, as it is printed.",
    tried="The program with `khanh thread` and `ai thread`, each of which counts down from 5 and waits 10 ms before "
    "each line. One after the other they would take 100 ms.",
    question="How many milliseconds does the program take?",
    guessed="took_ms",
    measures={
        "took_ms": Measure(title="time of the program", unit="ms"),
        "in_order": Measure(title="threads whose own lines are in order", unit="%"),
        "changes": Measure(title="lines that follow one of the other thread, of 13"),
    },
    expected=(Verdict.TRUE, Verdict.TRUE),
    program=PROGRAM,
    advice="The lines of two slots alternate in a node's log too: give each line the task's id "
    "(--logformat with %(task_id)s, get_task_logger), or nobody can tell them apart.",
)

NAMES = ("khanh thread", "ai thread")


def observe(bench: Bench) -> Observed:
    """Run the program with its output in a file."""
    while True:
        output = bench.folder / "output"
        with output.open("w") as file, redirect_stdout(file):
            began = time.perf_counter()
            exec(PROGRAM, dict[str, Any](__name__="__main__"))  # noqa: S102 - the textbook's, as it is printed
            took_s = time.perf_counter() - began
        text = output.read_text()
        yield Seen(figures={"took_ms": 1_000 * took_s, **told(text)}, notes={"output": text})


def told(text: str) -> dict[str, float]:
    """Return what the output tells: threads in their own order, and how often the other thread goes on."""
    # Two threads that print at once may write their line ends after both lines.
    found = sorted((text.find(f"{name} : {number}"), name, number) for name in NAMES for number in range(1, 6))
    order = [[number for _, name, number in found if name == each] for each in NAMES]
    lines = [next(name for name in NAMES if name in line) for line in text.splitlines() if line]
    return {
        "in_order": sum(numbers == [5, 4, 3, 2, 1] for numbers in order) / 2,
        "changes": sum(one != after for one, after in pairwise(lines)),
    }


def judge(found: Found) -> Judgement:
    """Judge by whether both ran at once, each in its own order."""
    took = found["took_ms"]
    if took.below(90) and found["in_order"].above(0.99):
        return true(f"start() ran both at once: {took:.3g} ms instead of 100. Each counts down in order, and their "
                    f"lines alternate: {found['changes'].value:g} of 13 follow one of the other thread.")  # fmt: skip
    if took.above(100) or found["in_order"].below(0.99):
        return false(f"the program took {took:.3g} ms, and {found['in_order']:.0%} of the threads were in order.")
    return not_shown(f"the program took {took:.3g} ms.")


picture = printed("What it printed", "output")
