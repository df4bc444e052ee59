"""In which order jobs are done that were sent in one."""

import random
from collections.abc import Sequence

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Lines, Measure, Observed, Seen, Verdict
from producer.lessons.lesson import false, not_shown, only_if

JOBS, LONGEST_S, SHOWN = 60, 0.008, 20

LESSON = Lesson(
    order=14,
    vietnamese="Trong python nếu để mặc định thì các thread sẽ theo cơ chế GIL nên tuy không chạy song song nhưng vẫn "
    "là không theo thứ tự. Đó là bất đồng bộ trong python.",
    english="Threads follow the GIL: they do not run in parallel, and yet in no order; that is asynchrony.",
    tried=f"{JOBS} jobs that wait for up to {LONGEST_S * 1_000:g} ms, sent one after the other to solo, to 4 threads, "
    "to 4 processes, and to 3 nodes of 4 threads. Of all pairs of jobs, how many were done in the other order?",
    question="Of all pairs of jobs on 4 threads, how many per cent are done in the other order?",
    guessed="threads",
    measures={
        "solo": Measure(title="solo, one slot", unit="%"),
        "threads": Measure(title="threads, 4 slots", unit="%"),
        "prefork": Measure(title="prefork, 4 slots", unit="%"),
        "three": Measure(title="threads, 3 nodes of 4 slots", unit="%"),
    },
    expected=(Verdict.ONLY_IF, Verdict.ONLY_IF),
    advice="A queue promises no order once more than one slot takes from it. Where order matters, chain the jobs, or "
    "give each key a queue of its own with one slot (-c 1 and --prefetch-multiplier 1).",
)

NODES = {"solo": ("solo", 1, 1), "threads": ("threads", 4, 1), "prefork": ("prefork", 4, 1), "three": ("threads", 4, 3)}


def observe(bench: Bench) -> Observed:
    """Send the same jobs to each fleet and compare the orders."""
    draw = random.Random(1)  # noqa: S311 - lengths of jobs, no secrets
    fleets = {name: bench.nodes(pool, slots, nodes=nodes) for name, (pool, slots, nodes) in NODES.items()}
    while True:
        jobs = [("wait", draw.uniform(0, LONGEST_S)) for _ in range(JOBS)]
        ends_s = {name: [each.end_s for each in nodes.run(*jobs)] for name, nodes in fleets.items()}
        yield Seen(
            figures={name: inverted(ends) for name, ends in ends_s.items()},
            notes={name: " ".join(map(str, order(ends)[:SHOWN])) for name, ends in ends_s.items()},
        )


def order(ends_s: Sequence[float]) -> list[int]:
    """Return the numbers of the jobs, in the order in which they were done."""
    return sorted(range(1, len(ends_s) + 1), key=lambda number: ends_s[number - 1])


def inverted(ends_s: Sequence[float]) -> float:
    """Return the share of pairs that were done in the other order: Kendall's distance, over all pairs."""
    pairs = len(ends_s) * (len(ends_s) - 1) / 2
    return sum(later < earlier for at, earlier in enumerate(ends_s) for later in ends_s[at + 1 :]) / pairs


def judge(found: Found) -> Judgement:
    """Judge by the order on one slot and on several."""
    solo, threads, prefork = found["solo"], found["threads"], found["prefork"]
    if solo.below(0.001) and threads.above(0.005) and prefork.above(0.005):
        return only_if("several slots take from one queue. It is not the GIL: processes, each with its own, were out "
                       f"of order in {prefork:.1%} of pairs, threads in {threads:.1%}, three nodes in "
                       f"{found['three']:.1%}, one slot in none.")  # fmt: skip
    if threads.below(0.001):
        return false("jobs on threads were done in the order in which they were sent.")
    return not_shown(f"the orders were too unsteady: {threads:.1%} on threads, {solo:.1%} on one slot.")


def picture(found: Found) -> Lines:
    """Show the jobs that were done first, in their order."""
    lines = [f"{LESSON.measures[name].title:28}  {numbers}" for name, numbers in found.last.notes.items()]
    return Lines(title=f"The first {SHOWN} jobs that were done, by their place when they were sent", lines=lines)
