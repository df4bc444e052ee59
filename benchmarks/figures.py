"""The nouns of a benchmark: a ratio that was measured in several rounds, and what was promised of it."""

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
    Between what a ratio must lie, both ends included.

    Attributes:
        least: The smallest that will do; 0 if only the other end matters.
        most: The largest that will do; infinite if only the other end matters.
    """

    least: float = 0.0
    most: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise ValueError(f"promise from {self.least!r} to {self.most!r}: must be 0 or more, and ascending")

    def kept_by(self, ratio: float) -> bool:
        """Whether a ratio will do."""
        return self.least <= ratio <= self.most

    @property
    def words(self) -> str:
        """For a reader: `at least 0.97`."""
        if math.isinf(self.most):
            return f"at least {self.least:.3g}"
        return f"from {self.least:.3g} to {self.most:.3g}" if self.least else f"at most {self.most:.3g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    One ratio, with one value from each round.

    Attributes:
        name: What is divided by what, e.g. `threads: jobs/s with stamping / without`.
        ratios: One value a round.
        promise: What its median must keep; None if the figure is there to be seen beside another.
        terms: The medians of what was divided, in a reader's units, e.g. `850 jobs/s / 861 jobs/s`.
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
        words: Callable[[float], str],
        promise: Promise | None = None,
    ) -> Self:
        """A figure from the two values of each round; `words` tells one of them to a reader."""
        if not rounds:
            raise ValueError(f"figure {name!r}: needs at least one round")
        above, below = (median(side) for side in zip(*rounds, strict=True))
        terms = f"{words(above)} / {words(below)}"
        return cls(name=name, ratios=[above / below for above, below in rounds], promise=promise, terms=terms)

    @property
    def median(self) -> float:
        """The middle round, or the mean of the two in the middle."""
        return median(self.ratios)

    @property
    def kept(self) -> bool:
        """Whether the median keeps the promise; true if there is none."""
        return self.promise is None or self.promise.kept_by(self.median)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which has no infinity."""
        promise = self.promise and {
            "least": self.promise.least,
            "most": None if math.isinf(self.promise.most) else self.promise.most,
        }
        return {**asdict(self), "promise": promise, "median": self.median, "kept": self.kept}


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """
    A promise that cannot be looked into on this machine.

    Attributes:
        name: As of a figure.
        reason: Why not, and where it can.
    """

    name: str
    reason: str

    @property
    def kept(self) -> bool:
        """What was not measured was not missed."""
        return True

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "skipped": True}


Result = Figure | Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """
    One thing that the project promises, and how to measure it.

    Attributes:
        name: What `python -m benchmarks NAME` calls it.
        asks: The question, in a sentence.
        measure: Measures it.
        takes_s: How long that takes, in seconds.
    """

    name: str
    asks: str
    measure: Callable[[], Sequence[Result]]
    takes_s: int


def jobs_per_s(rate_per_s: float) -> str:
    """A rate for a reader."""
    return f"{number(rate_per_s)} jobs/s"
