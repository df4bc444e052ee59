"""
Lessons many times, on a quiet machine and on a busy one: the judgement is what is expected, or "cannot be shown now".

A busy machine has one core taken by a process that counts, for as long as the lessons run.

    python -m benchmarks.truth.lessons --runs 20 [--python PATH] [--busy] [LESSON…]  two minutes a run of all;
                                                                                   Ctrl-C keeps the count
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from producer.lessons.catalogue import find, lessons, nearest
from producer.lessons.lesson import Verdict
from producer.measure.lessons import LessonRunner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.lessons.lesson import Entry

AT_MOST_S = 5.0


@contextmanager
def one_core_taken(busy: bool) -> Iterator[None]:
    """Let a process count meanwhile, if the machine is to be busy."""
    if not busy:
        yield
        return
    # In a session of its own, as a program of somebody else: Linux shares the cores out between sessions first.
    with subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) as hog:
        try:
            yield
        finally:
            hog.kill()


def judged(tried: Sequence[Entry], runs: int, python: str, seen: Mapping[str, Counter[Verdict]]) -> None:
    """Run lessons so many times, and count the verdicts."""
    for number in range(1, runs + 1):
        with tempfile.TemporaryDirectory() as folder, LessonRunner(Path(folder), AT_MOST_S, {}) as runner:
            for entry in tried:
                verdict = runner.run(entry, python).judgement.verdict
                seen[entry.name][verdict] += 1
        print(f"run {number} of {runs}", file=sys.stderr)


def main() -> int:
    """Run, print a row a lesson, and return 1 if a judgement was another than the one expected."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.truth.lessons", description=__doc__)
    words.add_argument("lesson", nargs="*", help="all unless named")
    words.add_argument("--runs", type=int, default=20)
    words.add_argument("--python", default="")
    words.add_argument("--busy", action="store_true", help="with one core taken by another process")
    asked = words.parse_args()
    for word in asked.lesson:
        if find(word) is None:
            words.error(f"{word!r}: there is no such lesson. Do you mean {nearest(word)}?")
    free = asked.python != "" and _is_free_threaded(asked.python)
    tried = [entry for entry in lessons() if not asked.lesson or entry in map(find, asked.lesson)]
    seen: dict[str, Counter[Verdict]] = {entry.name: Counter() for entry in tried}
    try:
        with one_core_taken(asked.busy):
            judged(tried, asked.runs, asked.python, seen)
    except KeyboardInterrupt:
        print("Interrupted; the count so far:")
    print(f"{'lesson':16}{'expected':22}{'as expected':>12}{'not shown':>12}{'other':>8}")
    others = 0
    for entry in tried:
        expected, counted = entry.lesson.expected[free], seen[entry.name]
        unshown = counted[Verdict.NOT_SHOWN] if expected is not Verdict.NOT_SHOWN else 0
        other = counted.total() - counted[expected] - unshown
        others += other
        print(f"{entry.name:16}{expected:22}{counted[expected]:12}{unshown:12}{other:8}")
    return int(others > 0)


def _is_free_threaded(python: str) -> bool:
    code = "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "1"


if __name__ == "__main__":
    raise SystemExit(main())
