"""The results of a benchmark: a ratio that was measured in several rounds, and the promise about it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from producer.report.formats import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """
    The bounds of a ratio, both included.

    Attributes:
        least: The smallest ratio that keeps the promise; 0 without a lower bound.
        most: The largest ratio that keeps the promise; infinite without an upper bound.
    """

    least: float = 0.0
    most: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise ValueError(f"promise from {self.least!r} to {self.most!r}: must be 0 or more, and ascending")

    def kept_by(self, ratio: float) -> bool:
        """Check whether a ratio keeps the promise."""
        return self.least <= ratio <= self.most

    @property
    def text(self) -> str:
        """The promise in words, e.g. `at least 0.97`."""
        if math.isinf(self.most):
            return f"at least {self.least:.3g}"
        return f"from {self.least:.3g} to {self.most:.3g}" if self.least else f"at most {self.most:.3g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    One ratio, with a value from each round.

    Attributes:
        name: The two values that are divided, e.g. `threads: jobs/s with stamping / without`.
        ratios: One value a round.
        promise: The promise about its median; None if the figure is only for comparison.
        terms: The medians of both values, in a reader's units, e.g. `850 jobs/s / 861 jobs/s`.
    """

    name: str
    ratios: Sequence[float]
    promise: Promise | None
    terms: str

    @classmethod
    def of(
        cls,
        name: str,
        rounds: Sequence[tuple[float, float]],
        show: Callable[[float], str],
        promise: Promise | None = None,
    ) -> Self:
        """Return the figure of the two values of each round; `show` turns a value into text."""
        if not rounds:
            raise ValueError(f"figure {name!r}: needs at least one round")
        above, below = (median(side) for side in zip(*rounds, strict=True))
        terms = f"{show(above)} / {show(below)}"
        return cls(name=name, ratios=[above / below for above, below in rounds], promise=promise, terms=terms)

    @property
    def median(self) -> float:
        """The middle round, or the mean of the two in the middle."""
        return median(self.ratios)

    @property
    def kept(self) -> bool:
        """True if the median keeps the promise, or there is none."""
        return self.promise is None or self.promise.kept_by(self.median)

    def to_dict(self) -> dict[str, Any]:
        """Return the figure as JSON has it, which has no infinity."""
        promise = self.promise and {
            "least": self.promise.least,
            "most": None if math.isinf(self.promise.most) else self.promise.most,
        }
        return {**asdict(self), "promise": promise, "median": self.median, "kept": self.kept}


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """
    A promise that cannot be measured on this machine.

    Attributes:
        name: The name of the figure.
        reason: Why it cannot be measured here, and where it can.
    """

    name: str
    reason: str

    @property
    def kept(self) -> bool:
        """Always true: a promise that was not measured was not missed."""
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return the figure as JSON has it."""
        return {**asdict(self), "skipped": True}


Result = Figure | Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """
    One thing that the project promises, and how to measure it.

    Attributes:
        name: Its name for `python -m benchmarks NAME`.
        asks: The question that it answers.
        measure: Measures it.
        takes_s: The time that this takes, in seconds.
    """

    name: str
    asks: str
    measure: Callable[[], Sequence[Result]]
    takes_s: int


def jobs_per_s(rate_per_s: float) -> str:
    """Return a rate as text."""
    return f"{number(rate_per_s)} jobs/s"
