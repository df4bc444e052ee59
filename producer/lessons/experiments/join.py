"""What join does, and what it does not."""

import threading
import time

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, timeline
from producer.lessons.lesson import Span, false, not_shown, true

WORK_S, PATIENCE_S = 0.12, 0.03

LESSON = Lesson(
    order=13,
    vietnamese="Hàm join() khi được gọi sẽ chấm dứt các thread gọi đến nó thay vì để nó tiếp tục nhàn rỗi.",
    english="When join() is called it terminates the thread, instead of leaving it idle.",
    tried="A thread that works for 120 ms: join(0.03), and a look at whether it lives; join(), and a look at the "
    "clock. And a job on a threads node that is revoked with terminate=True while it runs.",
    question="After join(0.03) of a thread that works for 120 ms: in what per cent of cases does it still live?",
    guessed="alive",
    measures={
        "alive": Measure(title="threads alive after join(0.03)", unit="%"),
        "finished": Measure(title="threads that finished their work", unit="%"),
        "waited_ms": Measure(title="time until join() returned", unit="ms"),
        "job_finished": Measure(title="jobs on threads that finished though terminated", unit="%"),
    },
    expected=(Verdict.FALSE, Verdict.FALSE),
    advice="Nothing ends a thread from outside. On the threads pool revoke(terminate=True) and hard time limits do not "
    "end a job, and a shutdown waits for it: give each call in a job a timeout of its own, or use prefork.",
)


def observe(bench: Bench) -> Observed:
    """Join a thread before it has finished, and terminate a job on a threads node."""
    node = bench.nodes("threads", 1)
    while True:
        done: list[float] = []
        thread = threading.Thread(target=work, args=(done,))
        began = time.perf_counter()
        thread.start()
        thread.join(PATIENCE_S)
        gave_up_s, alive = time.perf_counter() - began, thread.is_alive()
        thread.join()
        waited_s = time.perf_counter() - began
        yield Seen(
            figures={"alive": alive, "finished": len(done), "waited_ms": 1_000 * waited_s,
                     "job_finished": node.finishes_though_terminated(WORK_S)},
            spans=[
                Span(row="thread", begin_s=0, end_s=done[0] - began, kind="work"),
                Span(row="join(0.03)", begin_s=0, end_s=gave_up_s, kind="join"),
                Span(row="join()", begin_s=gave_up_s, end_s=waited_s, kind="join"),
            ],
        )  # fmt: skip


def work(done: list[float]) -> None:
    """Work for a while, and note when it is done."""
    time.sleep(WORK_S)
    done.append(time.perf_counter())


def judge(found: Found) -> Judgement:
    """Judge by whether the thread went on."""
    alive, finished = found["alive"], found["finished"]
    if alive.above(0.99) and finished.above(0.99):
        return false(f"join waits. The thread lived after join(0.03), finished its work, and join() returned after "
                     f"{found['waited_ms']:.3g} ms. Of jobs on threads that were terminated, "
                     f"{found['job_finished']:.0%} finished all the same.")  # fmt: skip
    if finished.below(0.01):
        return true("no thread finished its work after join.")
    return not_shown(f"{alive:.0%} of the threads lived after join(0.03).")


picture = timeline("A thread, and who waits for it")
