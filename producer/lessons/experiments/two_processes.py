"""Two processes run Python at once, if two cores are allowed."""

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, only_if
from producer.lessons.timing import cores_used

LESSON = Lesson(
    order=3,
    vietnamese="2 processes có thể thực thi code đồng thời trong cùng một chương trình python.",
    english="Two processes can run code at the same time in one Python program.",
    tried="Two jobs that count in Python, at once on a prefork node of two slots; then the same on a node that may use "
    "one core only, as a container with `cpus: 1`.",
    question="How many cores do two counting jobs keep busy on a prefork node of two slots?",
    guessed="two_cores",
    measures={
        "two_cores": Measure(title="cores used, two allowed", unit="cores"),
        "one_core": Measure(title="cores used, one allowed", unit="cores"),
    },
    expected=(Verdict.ONLY_IF, Verdict.ONLY_IF),
    advice="Give a prefork node for CPU-bound jobs as many slots as it has cores, and as many cores as slots: "
    "-c 8 under `cpus: 1` is eight processes that take turns.",
    needs_cores=2,
)


def observe(bench: Bench) -> Observed:
    """Run two counting jobs at once, with both cores and with one."""
    jobs = [("spin", 0.1)] * 2
    two = bench.nodes("prefork", 2)
    one = bench.nodes("prefork", 2, one_core=True)
    while True:
        yield Seen(figures={"two_cores": cores_used(two.run(*jobs)), "one_core": cores_used(one.run(*jobs))})


def judge(found: Found) -> Judgement:
    """Judge by the cores that were used."""
    two, one = found["two_cores"], found["one_core"]
    if two.above(1.5) and one.below(1.2):
        return only_if(f"two cores are allowed: the two jobs used {two:.3g} cores, and with one allowed {one:.3g}.")
    if two.below(1.2):
        return false(f"two counting jobs on two processes used {two:.3g} cores.")
    return not_shown(f"the two jobs used {two:.3g} cores, which is neither one nor two.")


picture = bars(LESSON, "Cores used by two counting jobs on prefork", full=2)
