"""Work given as a function, and as a subclass."""

import threading

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, true
from producer.lessons.timing import in_turn, run_together_s

THREADS, JOBS = 60, 30

LESSON = Lesson(
    order=10,
    vietnamese="Khởi tạo từ hàm - không nên dùng.",
    english="Making a thread from a function should not be done.",
    tried=f"The same work in {THREADS} threads made from a function and from a subclass of Thread; and in {JOBS} jobs "
    "of a Celery task made from a function and from a class. Results and times are compared.",
    question="How many times as long as from a subclass do threads from a function take?",
    guessed="threads",
    measures={
        "same": Measure(title="results that are the same", unit="%"),
        "threads": Measure(title="threads: from a function over from a subclass"),
        "tasks": Measure(title="tasks: from a function over from a class"),
    },
    expected=(Verdict.FALSE, Verdict.FALSE),
    advice="Write tasks as functions, with @app.task or @shared_task. A class is for what several tasks share: hooks "
    "such as on_failure, or a client that is made once a process.",
    needs_cores=2,  # what runs first is slowed most by others, whichever way it is made
)


class Adder(threading.Thread):
    """A thread that adds up, made as the textbook does."""

    def __init__(self, results: list[int]) -> None:
        threading.Thread.__init__(self)
        self.results = results

    def run(self) -> None:
        """Add up."""
        add(self.results)


def add(results: list[int]) -> None:
    """Add up, and note the sum."""
    results.append(sum(range(1_000)))


def observe(bench: Bench) -> Observed:
    """Run the same work both ways, in turn."""
    node = bench.nodes("threads", 2)
    sums: list[int] = []
    while True:
        sums.clear()
        threads = in_turn(
            lambda: run_together_s(threading.Thread(target=add, args=(sums,)) for _ in range(THREADS)),
            lambda: run_together_s(Adder(sums) for _ in range(THREADS)),
        )
        tasks = in_turn(lambda: node.run(*[("noop",)] * JOBS), lambda: node.run(*[("Noop",)] * JOBS))
        same = sums.count(sums[0]) / len(sums)
        yield Seen(figures={"same": same, "threads": threads, "tasks": tasks})


def judge(found: Found) -> Judgement:
    """Judge by results and times."""
    threads, tasks = found["threads"], found["tasks"]
    if found["same"].above(0.99) and threads.below(1.5) and tasks.below(1.5):
        return false(f"the results are the same, and a function took {threads:.3g} times as long as a subclass of "
                     f"Thread, {tasks:.3g} times as long as a class of Celery's Task.")  # fmt: skip
    if threads.above(2) or tasks.above(2) or found["same"].below(0.99):
        return true(f"a function took {threads:.3g} times as long as a subclass, {tasks:.3g} as a task.")
    return not_shown(f"the times were too unsteady: {threads:.3g} and {tasks:.3g}.")


picture = bars(LESSON, "From a function over from a class", "threads", "tasks", full=2)
