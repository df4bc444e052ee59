"""Two threads take turns at Python bytecode where there is a GIL; in C and while they wait they overlap."""

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, only_if
from producer.lessons.timing import cores_used, together_s

LESSON = Lesson(
    order=7,
    vietnamese="2 Threads không thể thực thi code đồng thời trong cùng một chương trình python.",
    english="Two threads cannot run code at the same time in one Python program.",
    tried="Two jobs at once on a threads node of two slots: two count in Python, two hash in C, two wait.",
    question="How many cores do two counting jobs keep busy on a threads node of two slots?",
    guessed="count",
    measures={
        "count": Measure(title="two jobs count in Python", unit="cores"),
        "hash": Measure(title="two jobs hash in C", unit="cores"),
        "wait": Measure(title="two jobs wait: how many at once", unit="jobs"),
    },
    expected=(Verdict.ONLY_IF, Verdict.FALSE),
    advice="On a build with the GIL, use prefork for jobs that compute in Python, and threads for jobs that wait or "
    "that compute in C. On a free-threaded build threads compute at once too, while the GIL stays off.",
    needs_cores=2,
)


def observe(bench: Bench) -> Observed:
    """Run two jobs of each kind at once."""
    node = bench.nodes("threads", 2)
    while True:
        count, digest = (node.run((name, 0.1), (name, 0.1)) for name in ("spin", "digest"))
        wait_s = together_s(node.run(("wait", 0.1), ("wait", 0.1)))
        yield Seen(figures={"count": cores_used(count), "hash": cores_used(digest), "wait": 0.2 / wait_s})


def judge(found: Found) -> Judgement:
    """Judge by the cores that counting and hashing used."""
    count, digest, wait = found["count"], found["hash"], found["wait"]
    if count.above(1.5):
        return false(f"two jobs that count used {count:.3g} cores: the GIL of this build is off.")
    if count.below(1.2) and digest.above(1.4) and wait.above(1.4):
        return only_if(
            f"the code is Python bytecode and the build has a GIL: two jobs that count used {count:.3g} cores, two "
            f"that hash in C {digest:.3g}, and two waits took the time of one."
        )
    return not_shown(f"counting used {count:.3g} cores and hashing {digest:.3g}, which is neither one nor two.")


picture = bars(LESSON, "At once on two threads", full=2)
