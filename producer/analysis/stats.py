"""Estimates and tests that verdicts and comparisons share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

if TYPE_CHECKING:
    from collections.abc import Sequence


LEAST_TRIALS = 3

CONFIDENCE = 0.95

SIGNIFICANCE = 0.05

POWER = 0.8
"""How likely the advised number of pairs should settle the question, if lanes and noise are as they were."""


def welch(first: Sequence[float], second: Sequence[float]) -> tuple[float | None, float | None, float | None, float]:
    """
    Ratio of geometric means, second over first, with its 95 % interval and the p-value of equality.

    Too few values give no interval and a p-value of 1.
    """
    a, b = np.log(first), np.log(second)
    difference = float(b.mean() - a.mean())
    if min(len(a), len(b)) < LEAST_TRIALS:
        return math.exp(difference), None, None, 1.0
    parts = [float(x.var(ddof=1)) / len(x) for x in (a, b)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return math.exp(difference), math.exp(difference), math.exp(difference), float(difference == 0)
    freedom = sum(parts) ** 2 / sum(part**2 / (len(x) - 1) for part, x in zip(parts, (a, b), strict=True))
    half = float(stdtrit(freedom, 0.975)) * error
    p = 2 * float(stdtr(freedom, -abs(difference) / error))
    return math.exp(difference), math.exp(difference - half), math.exp(difference + half), p


@dataclass(frozen=True, slots=True, kw_only=True)
class _Estimate:
    """
    What the usable pairs say of the logarithm of a / b.

    Attributes:
        pairs: How many there are.
        mean: Mean of the logarithms; 0 without a pair.
        sd: Their standard deviation; 0 with fewer than two pairs.
    """

    pairs: int
    mean: float
    sd: float

    @property
    def standard_error(self) -> float:
        """How far the mean is likely to be off."""
        return self.sd / math.sqrt(self.pairs)

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % t-interval; needs two pairs. A point if all pairs agree."""
        half_width = float(stdtrit(self.pairs - 1, (1 + CONFIDENCE) / 2)) * self.standard_error
        return self.mean - half_width, self.mean + half_width

    @property
    def p_value(self) -> float:
        """Of the two-sided t-test that the lanes are equal; needs two pairs."""
        if self.standard_error == 0:
            return 0.0 if self.mean else 1.0
        return 2 * float(stdtr(self.pairs - 1, -abs(self.mean) / self.standard_error))


def holm(p_values: Sequence[float]) -> list[float]:
    """
    P-values adjusted for their number by Holm's method, in the order given.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none may end below one before it, or above 1.
    """
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = floor
    return adjusted
