"""What a job that computes does to the jobs beside it."""

import statistics

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Nodes, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, true

STEPS, STEP_S, JOBS, SPIN_S = 5, 0.002, 4, 0.15

LESSON = Lesson(
    order=19,
    vietnamese="",
    english="A job that computes slows the jobs beside it that wait.",
    tried=f"{JOBS} jobs of {STEPS} short waits each, on a node of each pool with 5 slots: alone, and beside one job "
    "that counts in Python. And a ping to the node, alone and beside it.",
    question="How many times as long do the waiting jobs take beside the counting one, on threads?",
    guessed="threads",
    measures={
        "threads": Measure(title="on threads: beside it over alone"),
        "prefork": Measure(title="on prefork: beside it over alone"),
        "threads_alone": Measure(title="on threads, alone", unit="ms"),
        "threads_beside": Measure(title="on threads, beside it", unit="ms"),
        "prefork_beside": Measure(title="on prefork, beside it", unit="ms"),
        "ping_alone": Measure(title="ping of the threads node, alone", unit="ms"),
        "ping_beside": Measure(title="ping of the threads node, beside it", unit="ms"),
    },
    expected=(Verdict.TRUE, Verdict.FALSE),
    advice="Route jobs that compute to a queue of their own with a prefork node. On threads each wait of a neighbour "
    "ends with up to 5 ms for the GIL, and the node answers pings late, too.",
    needs_cores=2,
)


def observe(bench: Bench) -> Observed:
    """Run the waiting jobs alone and beside a counting one, on each pool."""
    threads = bench.nodes("threads", JOBS + 1)
    prefork = bench.nodes("prefork", JOBS + 1)
    while True:
        alone, beside = waiting_s(threads), waiting_s(threads, beside=True)
        other, other_beside = waiting_s(prefork), waiting_s(prefork, beside=True)
        took_s = {"threads_alone": alone, "threads_beside": beside, "prefork_beside": other_beside,
                  "ping_alone": threads.ping_s(), "ping_beside": threads.ping_s(beside=("spin", SPIN_S))}  # fmt: skip
        ratios = {"threads": beside / alone, "prefork": other_beside / other}
        yield Seen(figures={**ratios, **{name: 1_000 * seconds for name, seconds in took_s.items()}})


def waiting_s(nodes: Nodes, *, beside: bool = False) -> float:
    """Return how long a waiting job takes, the median, in seconds."""
    waiting = [("steps", STEPS, STEP_S)] * JOBS
    ran = nodes.run(("spin", SPIN_S), *waiting) if beside else nodes.run(*waiting)
    return statistics.median(each.end_s - each.begin_s for each in ran[-JOBS:])


def judge(found: Found) -> Judgement:
    """Judge by how much longer the waiting jobs took, on threads and on prefork."""
    threads, prefork = found["threads"], found["prefork"]
    if threads.above(1.5) and prefork.below(1.4):
        return true(f"on threads they took {threads:.3g} times as long, on prefork {prefork:.3g} times. A ping to the "
                    f"threads node took {found['ping_beside'].value:.3g} ms instead of "
                    f"{found['ping_alone'].value:.3g}.")  # fmt: skip
    if threads.below(1.3):
        return false(f"on threads they took {threads:.3g} times as long, on prefork {prefork:.3g} times.")
    return not_shown(f"on threads they took {threads:.3g} times as long, on prefork {prefork:.3g} times.")


TIMES = ("threads_alone", "threads_beside", "prefork_beside", "ping_alone", "ping_beside")

picture = bars(LESSON, "Jobs that wait, and a ping", *TIMES, unit="ms")
