"""What a process is: a program that runs, in one process or several, each with one thread or several."""

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, true

LESSON = Lesson(
    order=1,
    vietnamese="Khi bạn khởi động một program tức là đang khởi tạo 1 hay nhiều process. "
    "Process có thể có multiple thread.",
    english="Starting a program creates one process or more. A process may have several threads.",
    tried="The same program, a Celery node with two slots, on each pool; its processes and threads are counted.",
    question="How many processes has a prefork node with two slots?",
    guessed="prefork",
    measures={
        "prefork": Measure(title="processes of a prefork node"),
        "threads": Measure(title="processes of a threads node"),
        "inside": Measure(title="threads inside the process of the threads node"),
    },
    expected=(Verdict.TRUE, Verdict.TRUE),
    advice="A prefork node is its main process and one for each slot: plan memory for slots + 1. A threads node is one "
    "process, whatever -c says: whatever ends that process ends every job in it.",
)


def observe(bench: Bench) -> Observed:
    """Count the processes and threads of a node of each pool."""
    from poolrace.sampling import Sampler

    prefork = bench.nodes("prefork", 2)
    threads = bench.nodes("threads", 2)
    while True:
        processes, one = (Sampler(each.pids[0]).sample(memory=False) for each in (prefork, threads))
        yield Seen(
            figures={"prefork": processes.processes, "threads": one.processes, "inside": one.threads},
        )


def judge(found: Found) -> Judgement:
    """Judge by whether one program was several processes, and one process several threads."""
    if found["prefork"].above(1) and found["inside"].above(1):
        return true(
            f"one program was {found['prefork'].value:g} processes on prefork, and on threads "
            f"{found['threads'].value:g} with {found['inside'].value:g} threads in it."
        )
    if found["prefork"].below(2) or found["inside"].below(2):
        return false("a node was a single process with a single thread.")
    return not_shown("the processes of the nodes could not be counted.")


picture = bars(LESSON, "Processes and threads of a node with two slots")
