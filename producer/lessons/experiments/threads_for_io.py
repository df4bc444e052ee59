"""What threads gain for jobs that wait: memory a slot, not speed a slot."""

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Nodes, Observed, Seen, Verdict, bars
from producer.lessons.lesson import not_shown, only_if, true
from producer.lessons.timing import together_s

JOBS, WAIT_S = 48, 0.05

LESSON = Lesson(
    order=9,
    vietnamese="Các threads trong cùng một process sẽ chia sẻ được dữ liệu qua lại nên có lợi thế về I/O. Đây là lý do "
    "chúng ta cần nhiều threads hoạt động trong một process.",
    english="Threads of one process share data, so they are better at I/O; that is why a process needs many threads.",
    tried=f"{JOBS} jobs that wait for {WAIT_S * 1_000:g} ms, at once on 8 slots of each pool and on 48 threads; "
    "jobs/s, and memory of the node.",
    question="How many times the memory of 8 threads do 8 processes take?",
    guessed="memory",
    measures={
        "prefork": Measure(title="8 processes", unit="jobs/s"),
        "threads": Measure(title="8 threads", unit="jobs/s"),
        "many": Measure(title="48 threads", unit="jobs/s"),
        "speed": Measure(title="jobs/s of 8 threads over 8 processes"),
        "memory": Measure(title="memory of 8 processes over 8 threads"),
        "many_memory": Measure(title="memory of 48 threads over 8 threads"),
    },
    expected=(Verdict.ONLY_IF, Verdict.ONLY_IF),
    advice="For jobs that wait, choose slots by how much they wait, then the pool by memory: on threads -c 48 or 100 "
    "is cheap. A prefork slot does a waiting job just as fast.",
)


def observe(bench: Bench) -> Observed:
    """Run the waiting jobs on each node."""
    prefork = bench.nodes("prefork", 8)
    threads = bench.nodes("threads", 8)
    many = bench.nodes("threads", 48)
    memory = {"memory": prefork.memory_mib() / threads.memory_mib()}
    memory["many_memory"] = many.memory_mib() / threads.memory_mib()
    while True:
        rates = {"prefork": rate(prefork), "threads": rate(threads), "many": rate(many)}
        yield Seen(figures={**rates, "speed": rates["threads"] / rates["prefork"], **memory})


def rate(nodes: Nodes) -> float:
    """Return the jobs per second, from the first start to the last end."""
    return JOBS / together_s(nodes.run(*[("wait", WAIT_S)] * JOBS))


def judge(found: Found) -> Judgement:
    """Judge by speed at equal slots, and by memory."""
    speed, memory = found["speed"], found["memory"]
    if speed.above(1.5):
        return true(f"8 threads did {speed:.3g} times the jobs of 8 processes.")
    if speed.below(1.3) and memory.above(2):
        return only_if(
            f"memory is what limits the slots: 8 threads did {speed:.3g} times the jobs of 8 processes, in "
            f"1/{memory.value:.1f} of their memory, and 48 threads did {found['many'].value:.0f} jobs/s "
            f"in {found['many_memory'].value:.1f} times that of 8. It is not because data are shared."
        )
    return not_shown(f"8 threads did {speed:.3g} times the jobs, in 1/{memory.value:.1f} of the memory.")


picture = bars(LESSON, f"{JOBS} jobs that wait", "prefork", "threads", "many", unit="jobs/s")
