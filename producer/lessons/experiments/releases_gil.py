"""Which work in C lets go of the GIL."""

import hashlib
import json
import re
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
from producer.lessons.lesson import false, not_shown, only_if, true
from producer.lessons.timing import at_once, slept_s, used_cpu_s

CPU_S = 0.04
BLOCK, BIT, ROWS = bytes(range(256)) * 4096, bytes(64), list(range(5_000))[::-1]

WORK: dict[str, tuple[str, Callable[[], Any]]] = {
    "sha": ("SHA-256 of 1 MiB", lambda: hashlib.sha256(BLOCK).digest()),
    "zlib": ("zlib.compress of 1 MiB", lambda: zlib.compress(BLOCK)),
    "small_sha": ("SHA-256 of 64 bytes", lambda: hashlib.sha256(BIT).digest()),
    "json": ("json.dumps of 5,000 numbers", lambda: json.dumps(ROWS)),
    "sort": ("sorting 5,000 numbers", lambda: sorted(ROWS, key=str)),
    "regex": ("a regular expression over 64 KiB", lambda: re.findall(rb"[a-z]{3}", BLOCK[: 64 << 10])),
}

LESSON = Lesson(
    order=16,
    vietnamese="",
    english="Code written in C, and input and output, release the GIL.",
    tried="Bare Python: two threads do the same work in C at once, for 40 ms of CPU time each, and then two threads "
    "sleep. How many cores are used, and how many sleeps overlap?",
    question="How many cores do two threads use that turn numbers into JSON, in C?",
    guessed="json",
    measures={
        **{name: Measure(title=title, unit="cores") for name, (title, _) in WORK.items()},
        "sleep": Measure(title="time.sleep: how many at once", unit="cores"),
    },
    expected=(Verdict.ONLY_IF, Verdict.TRUE),
    advice="Ask of each library, not of C in general: hashing and compressing large blocks, NumPy and Pillow let go; "
    "JSON, sorting and regular expressions do not. `poolrace race --app` shows it as CPU and speed-up of your tasks.",
    needs_cores=2,
)


def observe(_bench: Bench) -> Observed:
    """Do each work in two threads at once."""
    while True:
        figures = {name: at_once(partial(used_cpu_s, work, CPU_S)) for name, (_, work) in WORK.items()}
        yield Seen(figures={**figures, "sleep": at_once(partial(slept_s, CPU_S))})


def judge(found: Found) -> Judgement:
    """Judge by which work used two cores."""
    both = [title for name, (title, _) in WORK.items() if found[name].above(1.4)]
    one = [title for name, (title, _) in WORK.items() if found[name].below(1.2)]
    if not found["sleep"].above(1.4) or len(both) + len(one) < len(WORK) - 1:
        return not_shown("the threads used neither one core nor two.")
    if both and one:
        return only_if(f"that code lets it go: {', '.join(both)} did. {', '.join(one)} did not.")
    return true("two threads used two cores in all of it.") if both else false("all of it used one core.")


picture = bars(LESSON, "Cores used by two threads", full=2)
