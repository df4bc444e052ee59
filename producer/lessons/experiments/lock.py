"""What a lock makes wait, and what it does not."""

import threading
import time
from contextlib import nullcontext
from itertools import pairwise

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, timeline
from producer.lessons.lesson import Span, false, not_shown, only_if
from producer.lessons.timing import run_together_s, slept_s

THREADS, TURNS, PART_S = 4, 10, 0.001

LESSON = Lesson(
    order=15,
    vietnamese="Thread Lock: đây là cơ chế cho phép 1 thread chạy xong rồi thì các thread khác mới đến lượt.",
    english="A thread lock lets one thread run to its end before the others have their turn.",
    tried=f"{THREADS} threads, {TURNS} turns each: 1 ms with the lock and 1 ms without. Then the same threads with the "
    "lock held from their first line to their last. Against all turns one after the other.",
    question="How many of each 100 turns with the lock follow a turn of another thread?",
    guessed="hand_overs",
    measures={
        "hand_overs": Measure(title="turns with the lock that follow another thread's", unit="%"),
        "part": Measure(title="lock around a part: speed over one after the other"),
        "whole": Measure(title="lock around all: speed over one after the other"),
    },
    expected=(Verdict.ONLY_IF, Verdict.ONLY_IF),
    advice="Hold a lock for the shared step alone: what is outside it runs at once. A lock around a whole job makes "
    "a node of one slot out of many, and prefork does not even see it.",
)


def observe(_bench: Bench) -> Observed:
    """Run the threads with the lock around a part, and around all."""
    while True:
        part, whole, none = run(around_all=False), run(around_all=True), THREADS * TURNS * 2 * slept_s(PART_S, TURNS)
        inside = sorted((each for each in part if each.kind == "inside"), key=lambda each: each.begin_s)
        changes = sum(one.row != after.row for one, after in pairwise(inside))
        took_s, whole_s = max(each.end_s for each in part), max(each.end_s for each in whole)
        figures = {"hand_overs": changes / (len(inside) - 1), "part": none / took_s, "whole": none / whole_s}
        yield Seen(figures=figures, spans=part)


def run(*, around_all: bool) -> list[Span]:
    """Run the threads, and return what each did when."""
    lock, spans, began = threading.Lock(), list[Span](), time.perf_counter()

    def part(row: str, kind: str) -> None:
        begin_s = time.perf_counter() - began
        time.sleep(PART_S)
        spans.append(Span(row=row, begin_s=begin_s, end_s=time.perf_counter() - began, kind=kind))

    def turns(row: str) -> None:
        with lock if around_all else nullcontext():
            for _ in range(TURNS):
                with nullcontext() if around_all else lock:
                    part(row, "inside")
                part(row, "outside")

    run_together_s(threading.Thread(target=turns, args=(f"thread {number}",)) for number in range(1, THREADS + 1))
    return spans


def judge(found: Found) -> Judgement:
    """Judge by hand-overs, and by speed."""
    hand_overs, part, whole = found["hand_overs"], found["part"], found["whole"]
    if hand_overs.above(0.5) and part.above(1.2) and whole.below(1.2):
        return only_if(f"it is held from first line to last ({whole:.3g} times the speed of one after another). Around "
                       f"a part, {hand_overs:.0%} of turns followed another's ({part:.3g} times).")  # fmt: skip
    if part.below(1.1) and hand_overs.below(0.2):
        return false("threads did not overlap outside the lock either.")
    return not_shown(f"{hand_overs:.0%} of turns followed another thread's, at {part:.3g} times the speed.")


picture = timeline("Who is inside the lock, and who outside")
