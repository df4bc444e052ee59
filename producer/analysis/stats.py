"""The statistics of verdicts, comparisons and fits: t-test, Holm, Welch, intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import fdtrc, ndtri, stdtr, stdtrit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


NOTHING = 1e-12
"""A square of a logarithm that is only rounding."""

LEAST_TRIALS = 3
"""Trials of a run below which Welch's test says nothing."""

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
OUTSIDE = (1 - CONFIDENCE) / 2
"""The share that lies beyond each end of an interval."""


def welch(first: Sequence[float], second: Sequence[float]) -> tuple[float | None, float | None, float | None, float]:
    """
    Return the ratio of geometric means, second over first, its 95 % interval, and the p-value of equality.

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
    half = float(stdtrit(freedom, 1 - OUTSIDE)) * error
    p = 2 * float(stdtr(freedom, -abs(difference) / error))
    return math.exp(difference), math.exp(difference - half), math.exp(difference + half), p


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRatio:
    """
    The logarithm of a ratio a / b, estimated from pairs.

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
        """The standard error of the mean."""
        return self.sd / math.sqrt(self.pairs)

    @property
    def p_value(self) -> float:
        """Of the two-sided t-test that the lanes are equal; needs two pairs."""
        if self.standard_error == 0:
            return 0.0 if self.mean else 1.0
        return 2 * float(stdtr(self.pairs - 1, -abs(self.mean) / self.standard_error))

    def probability_above(self, log_ratio: float) -> float:
        """Return how probable it is, by these pairs alone, that the true log ratio is above this; needs two pairs."""
        if self.standard_error == 0:
            return float(self.mean > log_ratio)
        return float(stdtr(self.pairs - 1, (self.mean - log_ratio) / self.standard_error))


def holm(p_values: Sequence[float]) -> list[float]:
    """
    Return p-values adjusted for their number by Holm's method, in the order given.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none may end below one before it, or above 1.
    """
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = floor
    return adjusted


def lack_of_fit(groups: Sequence[NDArray[np.float64]], fitted: Sequence[float], parameters: int) -> float:
    """
    Return the p-value that a fit is off the means of its groups by no more than chance.

    The F-test of lack of fit: by how much values of one group differ shows what chance does.

    Args:
        groups: The values of each group.
        fitted: What the fit has for each of them.
        parameters: Of the fit.

    Returns:
        1 where there are no more groups than parameters, or no group has several values.
    """
    of_fit = len(groups) - parameters
    of_chance = sum(len(group) - 1 for group in groups)
    if of_fit < 1 or of_chance < 1:
        return 1.0
    misfit = sum(len(group) * (group.mean() - value) ** 2 for group, value in zip(groups, fitted, strict=True))
    chance = sum(((group - group.mean()) ** 2).sum() for group in groups)
    if chance <= NOTHING * len(groups):
        return float(misfit <= NOTHING * len(groups))
    return float(fdtrc(of_fit, of_chance, misfit / of_fit / (chance / of_chance)))


def widened_residuals(residuals: NDArray[np.float64], parameters: int) -> NDArray[np.float64]:
    """
    Return the residuals of a fit as wide as the errors behind them are likely to be.

    The parameters took their part of what the values are off by, and few values say little of how much that was:
    Student's t makes up for both. There must be more values than parameters.
    """
    spare = len(residuals) - parameters
    factor = math.sqrt(len(residuals) / spare) * stdtrit(spare, 1 - OUTSIDE) / ndtri(1 - OUTSIDE)
    widened: NDArray[np.float64] = residuals * factor
    return widened


def quantile_intervals(samples: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Return the lower and the upper ends between which 95 % of each column's values lie."""
    # Of the values themselves: some may be infinite, and nothing lies half-way to that.
    low, high = np.quantile(samples, [OUTSIDE, 1 - OUTSIDE], axis=0, method="inverted_cdf")
    return low.tolist(), high.tolist()
