"""Judges a lesson by what its experiment saw. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from producer.lessons.lesson import (
    Entry,
    Found,
    Judgement,
    Python,
    Seen,
    Verdict,
    estimate,
    not_shown,
)

FREE_SHARE = 0.85
"""The part of the cores that a lesson needs which must be free of others' work, or it judges nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonResult:
    """
    What a lesson found in one interpreter.

    Attributes:
        lesson: The name of the lesson.
        python: The interpreter; None if it could not be tried at all.
        judgement: What the observations say of the statement.
        found: The estimates, and what the last repetition saw; None if it could not be tried.
        took_s: How long it took, in seconds, the start of nodes included.
    """

    lesson: str
    python: Python | None
    judgement: Judgement
    found: Found | None
    took_s: float

    @property
    def shown(self) -> bool:
        """Whether it was possible to judge."""
        return self.judgement.verdict is not Verdict.NOT_SHOWN


def found_in(python: Python, seen: Sequence[Seen], cores: Sequence[float]) -> Found:
    """
    Estimate each measure of an experiment.

    Args:
        python: The interpreter that it ran in.
        seen: What each repetition saw; what takes long may be measured by one of them alone.
        cores: The cores that two counting processes got before each of them.
    """
    values: dict[str, list[float]] = {}
    for each in seen:
        for name, value in each.figures.items():
            values.setdefault(name, []).append(value)
    measures = {name: estimate(found) for name, found in values.items()}
    return Found(python=python, measures=measures, last=seen[-1], cores=estimate(cores))


def judge(entry: Entry, found: Found) -> Judgement:
    """Judge a statement, unless the machine has too few cores, or others used them: then nothing is said of it."""
    needed = entry.lesson.needs_cores
    if found.python.cores < needed:
        return not_shown(
            f"this process may use {found.python.cores} core, and the experiment needs {needed}. Give it more: "
            "taskset, cpus: of a container, or another machine."
        )
    if needed > 1 and found.cores.value < FREE_SHARE * needed:
        return not_shown(
            f"others use the cores: two processes that only count got {found.cores:.2f} of {needed} cores. "
            "Close what runs beside it, and try again."
        )
    return entry.judge(found)


def is_sure(entry: Entry, found: Found) -> bool:
    """Return whether more repetitions would add nothing: the answer's interval is narrow, and the statement judged."""
    return found[entry.lesson.guessed].is_narrow and judge(entry, found).verdict is not Verdict.NOT_SHOWN
