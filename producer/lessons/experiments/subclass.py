"""What a subclass of Thread must define."""

import threading
from contextlib import suppress

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, true
from producer.lessons.timing import run_together_s

LESSON = Lesson(
    order=11,
    vietnamese="Bắt buộc phải kế thừa class threading và trong class vừa tạo bắt buộc phải khởi tạo 2 hàm là init và "
    "run.",
    english="The class must inherit from Thread and must define two functions, __init__ and run.",
    tried="Three subclasses of Thread, ten threads each: one with run alone, one with neither, and one whose __init__ "
    "does not call that of Thread.",
    question="What per cent of threads with run and without __init__ work?",
    guessed="run_alone",
    measures={
        "run_alone": Measure(title="run alone: threads that worked", unit="%"),
        "neither": Measure(title="neither: threads that started and did nothing", unit="%"),
        "no_base": Measure(title="__init__ that leaves out Thread's: threads that could not start", unit="%"),
    },
    expected=(Verdict.FALSE, Verdict.FALSE),
    advice="The same holds for a class-based task: run is enough. If it has an __init__, that runs once a process and "
    "not once a job, so nothing of a single job belongs on self.",
)

COUNT = 10
done: list[bool] = []


class RunAlone(threading.Thread):
    """A thread with run and without __init__."""

    def run(self) -> None:
        """Note that it ran."""
        done.append(True)


class Neither(threading.Thread):
    """A thread with neither."""


class NoBase(RunAlone):
    """A thread whose __init__ leaves out Thread's."""

    def __init__(self) -> None:
        self.mine = True


def observe(_bench: Bench) -> Observed:
    """Start threads of each class."""
    while True:
        done.clear()
        starts(RunAlone)
        yield Seen(figures={"run_alone": len(done) / COUNT, "neither": starts(Neither), "no_base": 1 - starts(NoBase)})


def starts(kind: type[threading.Thread]) -> float:
    """Return the share of threads of a class that start and end."""
    started = 0
    for _ in range(COUNT):
        with suppress(RuntimeError):  # Thread.__init__() was not called
            run_together_s([kind()])
            started += 1
    return started / COUNT


def judge(found: Found) -> Judgement:
    """Judge by whether run alone is enough."""
    if found["run_alone"].above(0.99):
        return false("a thread with run alone works. One with neither starts and does nothing; one with an __init__ "
                     "that leaves out Thread's cannot start.")  # fmt: skip
    if found["run_alone"].below(0.01):
        return true("no thread with run alone worked.")
    return not_shown(f"{found['run_alone']:.0%} of the threads with run alone worked.")


picture = bars(LESSON, "Threads of each class", unit="%", full=1)
