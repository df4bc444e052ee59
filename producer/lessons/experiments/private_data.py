"""The data of a process are its own, and those of a thread are the process's."""

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Nodes, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, true

LESSON = Lesson(
    order=4,
    vietnamese="Dữ liệu của process thì được thiết kế private.",
    english="The data of a process are private to it.",
    tried="One job sets a global variable; jobs in the other slot read it. On prefork, where the other slot is another "
    "process, and on threads, where it is another thread of the same process.",
    question="In how many per cent of the other process's jobs is the new value seen?",
    guessed="prefork",
    measures={
        "prefork": Measure(title="jobs of the other process that saw it", unit="%"),
        "threads": Measure(title="jobs of the other thread that saw it", unit="%"),
    },
    expected=(Verdict.TRUE, Verdict.TRUE),
    advice="A cache in a global is one cache a slot on prefork, and one for all on threads, where it needs a lock. "
    "What jobs must share belongs in Redis or a database on either pool.",
)


def observe(bench: Bench) -> Observed:
    """Set a variable in one slot and read it in the other, on each pool."""
    prefork = bench.nodes("prefork", 2)
    threads = bench.nodes("threads", 2)
    value = 0
    while True:
        value += 1
        yield Seen(figures={"prefork": share_that_saw(prefork, value), "threads": share_that_saw(threads, value)})


def share_that_saw(nodes: Nodes, value: int) -> float:
    """Return the share of the other slots' jobs that saw what one slot had set."""
    while True:
        [setter] = nodes.run(("set_global", value))
        # Each read takes a moment, so that both slots get some.
        others = [read for read in nodes.run(*[("get_global", 0.01)] * 8) if read.slot != setter.slot]
        if others:
            return [read.value for read in others].count(value) / len(others)


def judge(found: Found) -> Judgement:
    """Judge by what the other process saw."""
    prefork, threads = found["prefork"], found["threads"]
    if prefork.below(0.01) and threads.above(0.99):
        return true("no job of the other process saw the new value, and every job of the other thread did.")
    if prefork.above(0.99):
        return false("the other process saw the value.")
    return not_shown(f"{prefork:.0%} of the other process's jobs and {threads:.0%} of the thread's saw it.")


picture = bars(LESSON, "Who sees a variable that one slot has set", unit="%", full=1)
