"""
The trend of something that is sampled over time, with an interval that allows for samples that resemble each other.

A straight line is fitted. Where what is left resembles what is left before it, n values tell as much as fewer that are
independent: n (1 - r) / (1 + r), r the correlation of neighbours. The interval is that of Student's t for so many.

Source: Santer et al., Statistical significance of trends and trend differences in layer-average atmospheric temperature
time series, J. Geophys. Res. 105 (2000) 7337-7356, section 4. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from producer.analysis.stats import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

LEAST_POINTS = 6
"""Points below which no trend is told."""

FLAT = 1e-9
"""A part of the values that is only rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """
    By how much something grows in a unit of time, with the 95 % interval.

    Attributes:
        slope: The growth; below zero where it shrinks.
        low: The lower end; None if too few values are independent.
        high: The upper end; None with `low`.
    """

    slope: float
    low: float | None
    high: float | None

    @property
    def half(self) -> float:
        """Half the width of the interval; infinite without one."""
        return math.inf if self.low is None or self.high is None else (self.high - self.low) / 2


def trend(times: Sequence[float], values: Sequence[float], levels: Collection[int] = ()) -> Trend | None:
    """
    Return the trend of values over time; None of fewer than six of them, or if no time passes.

    Args:
        times: When each was seen, ascending, in the unit that the growth is told in.
        values: The values.
        levels: Places from which on values have a level of their own: what they differ by there counts for nothing.
    """
    if len(times) < LEAST_POINTS:
        return None
    x, y = (_around_levels(np.asarray(each, dtype=np.float64), levels) for each in (times, values))
    spread = float((x**2).sum())
    if spread == 0.0:
        return None
    slope = float((x * y).sum() / spread)
    left = y - slope * x
    squares = float((left**2).sum())
    if squares <= len(x) * (FLAT * float(np.abs(values).max())) ** 2:
        return Trend(slope=slope, low=slope, high=slope)
    alike = max(0.0, float((left[1:] * left[:-1]).sum()) / squares)
    freedom = len(x) * (1 - alike) / (1 + alike) - 2 - len(levels)
    if freedom < 1:
        return Trend(slope=slope, low=None, high=None)
    half = float(stdtrit(freedom, 1 - OUTSIDE)) * math.sqrt(squares / freedom / spread)
    return Trend(slope=slope, low=slope - half, high=slope + half)


def _around_levels(values: NDArray[np.float64], levels: Collection[int]) -> NDArray[np.float64]:
    """Return by how much values differ from the mean of those of the same level."""
    return np.concatenate([part - part.mean() for part in np.split(values, sorted(levels)) if len(part)])


def in_blocks(
    times: NDArray[np.float64], values: NDArray[np.float64], edges: NDArray[np.float64]
) -> dict[float, float]:
    """
    Return the median of the values in each of some stretches of time, by its middle; none of an empty stretch.

    Args:
        times: When each value was seen.
        values: The values.
        edges: Where the stretches begin, ascending, and where the last one ends; it includes its end.
    """
    last = len(edges) - 2
    block_of = np.clip(np.searchsorted(edges, times, side="right") - 1, -1, last)
    block_of[(times < edges[0]) | (times > edges[-1])] = -1
    return {
        float(edges[block] + edges[block + 1]) / 2: float(np.median(values[block_of == block]))
        for block in range(last + 1)
        if (block_of == block).any()
    }
