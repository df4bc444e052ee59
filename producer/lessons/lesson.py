"""
What a lesson is: a statement, how it is tried, what is measured, and how it is judged. Standard library only.

An experiment runs in the interpreter that it is about, which may lack everything that Poolrace's command needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producer.lessons.bench import Bench
    from producer.lessons.picture import Picture

CONFIDENCE = 0.95

BROKER = "POOLRACE_LESSON_BROKER"
"""The variable with the URL of the broker that a lesson's nodes share."""

APP, WORKDIR = "POOLRACE_LESSON_APP", "POOLRACE_LESSON_WORKDIR"
"""The variables with the user's app and its folder, for the lesson `gil`."""


class Verdict(StrEnum):
    """What the observations say of a statement."""

    TRUE = "true"
    FALSE = "false"
    ONLY_IF = "true only if"
    NOT_SHOWN = "cannot be shown now"


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    A verdict, and a sentence that gives its reason.

    Attributes:
        verdict: The verdict.
        because: The reason, which goes on where the verdict stops.
    """

    verdict: Verdict
    because: str


def true(because: str) -> Judgement:
    """Judge a statement to be true."""
    return Judgement(Verdict.TRUE, because)


def false(because: str) -> Judgement:
    """Judge a statement to be false."""
    return Judgement(Verdict.FALSE, because)


def only_if(condition: str) -> Judgement:
    """Judge a statement to be true only under a condition."""
    return Judgement(Verdict.ONLY_IF, condition)


def not_shown(because: str) -> Judgement:
    """Say that these observations cannot judge the statement, and why."""
    return Judgement(Verdict.NOT_SHOWN, because)


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    The median of a measure over the repetitions of an experiment, with its interval.

    The interval is made of order statistics, so it holds the median with the confidence of 95 % whatever the
    distribution is. Fewer than six repetitions cannot give that.

    Attributes:
        value: The median.
        low: The lower end of the interval; None of fewer than six repetitions.
        high: Its upper end; None of fewer than six.
        repetitions: The number of values.
    """

    value: float
    low: float | None
    high: float | None
    repetitions: int

    def __format__(self, spec: str) -> str:
        """Write the value, and the interval unless it has none or looks the same: `0.99 (0.98 to 1.00)`."""
        value = _text(self.value, spec)
        if self.low is None or self.high is None:
            return value
        low, high = _text(self.low, spec), _text(self.high, spec)
        return value if low == value == high else f"{value} ({low} to {high})"

    def above(self, bound: float) -> bool:
        """Return whether the whole interval lies above a bound."""
        return self.low is not None and self.low > bound

    def below(self, bound: float) -> bool:
        """Return whether the whole interval lies below a bound."""
        return self.high is not None and self.high < bound

    @property
    def is_narrow(self) -> bool:
        """Whether the interval reaches less than a tenth of the value to each side, or a value near 0 by 0.01."""
        if self.low is None or self.high is None:
            return False
        return max(self.high - self.value, self.value - self.low) <= max(0.1 * abs(self.value), 0.01)


def _text(value: float, spec: str) -> str:
    return format(value, spec).replace("%", " %")


def estimate(values: Sequence[float]) -> Estimate:
    """
    Estimate the median of a measure.

    The interval from the k-th smallest to the k-th largest of n values misses the median with the probability
    2 P(X < k), X binomial with n draws of 1/2; k is the largest for which that is at most 5 %.
    """
    ordered, count = sorted(values), len(values)
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    missed, rank = 0.0, 0
    while rank < count // 2 and (missed := missed + 2 * math.comb(count, rank) / 2**count) <= 1 - CONFIDENCE:
        rank += 1
    if not rank:
        return Estimate(middle, None, None, count)
    return Estimate(middle, ordered[rank - 1], ordered[-rank], count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """
    Something that an experiment measures in each repetition.

    Attributes:
        title: What it is, e.g. `cores used by two cpu jobs`.
        unit: Its unit; empty for a bare number. `%` shows a share in per cent, `s` a time in the unit that fits it.
    """

    title: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """
    A stretch of time in a picture: a job in its slot, or a part of one.

    Attributes:
        row: The row that it is drawn in, e.g. the slot.
        begin_s: When it began, in seconds since the repetition did.
        end_s: When it ended.
        kind: What it is, e.g. `work`; spans of one kind look the same.
    """

    row: str
    begin_s: float
    end_s: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    What one repetition of an experiment saw.

    Attributes:
        figures: The value of each measure; NaN of what this system does not tell.
        spans: Stretches of time for a picture.
        notes: Anything else for the judgement or the picture, e.g. the name of a module.
    """

    figures: Mapping[str, float]
    spans: Sequence[Span] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """
    The interpreter that an experiment ran in.

    Attributes:
        version: Its version, e.g. `3.14.7`.
        free_threaded: True if it was built without a need for the GIL.
        gil: True if the GIL was on during the experiment.
        cores: The cores that this process may use.
    """

    version: str
    free_threaded: bool
    gil: bool
    cores: int

    @property
    def build(self) -> str:
        """The build's name in sentences."""
        if not self.free_threaded:
            return f"Python {self.version}"
        return f"Python {self.version}t" + (" with the GIL on" if self.gil else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    All that an experiment saw in one interpreter.

    Attributes:
        python: The interpreter.
        measures: The estimate of each measure.
        last: What the last repetition saw.
        cores: The cores that two processes which only count got meanwhile.
    """

    python: Python
    measures: Mapping[str, Estimate]
    last: Seen
    cores: Estimate

    def __getitem__(self, measure: str) -> Estimate:
        """Return the estimate of a measure."""
        return self.measures[measure]

    def titled(self, lesson: Lesson, *names: str) -> dict[str, Estimate]:
        """Return estimates by the titles of their measures: those named, or all, that this system tells."""
        return {lesson.measures[name].title: self[name] for name in names or lesson.measures if name in self.measures}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """
    A statement about parallel Python, and how it is tried.

    Attributes:
        order: Its place: the textbook's order, then what goes beyond it.
        vietnamese: The statement as the textbook has it; empty if the textbook has none.
        english: The statement in English.
        tried: What is run to try it.
        question: What a reader is asked to guess.
        guessed: The measure that answers the question.
        measures: What is measured, by name.
        expected: The verdict that a build with the GIL gives, and the one that a free-threaded build gives.
        advice: What it means for a fleet of Celery: what to set.
        needs_cores: The cores without which it cannot be shown.
        program: The textbook's code that is run as it is printed; empty if it has none.
    """

    order: int
    vietnamese: str
    english: str
    tried: str
    question: str
    guessed: str
    measures: Mapping[str, Measure]
    expected: tuple[Verdict, Verdict]
    advice: str
    needs_cores: int = 1
    program: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    A lesson with its functions, as its file has them.

    Attributes:
        name: The name of its file, with hyphens.
        lesson: The statement.
        observe: Repeats the experiment.
        judge: Judges the statement.
        picture: Makes the picture.
        source: The code of the file.
    """

    name: str
    lesson: Lesson
    observe: Callable[[Bench], Iterator[Seen]]
    judge: Callable[[Found], Judgement]
    picture: Callable[[Found], Picture]
    source: str
