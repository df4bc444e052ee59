"""Percentiles over raw values, and which of them a number of values can support."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


PER_MILLE: Mapping[str, int] = {"p50": 500, "p90": 900, "p99": 990, "p99.9": 999}
"""Each percentile by its name, in thousandths so that ranks are counted in whole numbers."""

FIRM_BEYOND = 10
"""The values beyond a percentile that make it firm: with fewer it rests on a handful of jobs."""


def values_beyond(n: int, name: str) -> int:
    """Return how many of n values rank above the percentile of this name, e.g. 10 of 1,000 above p99."""
    return n - _rank(n, name)


def _field(name: str) -> str:
    """Return the field that holds a statistic: `p99_9` for `p99.9`."""
    return name.replace(".", "_")


def _rank(n: int, name: str) -> int:
    """Return the nearest rank, from 1: the smallest with at least the percentile's share of n values at or below it."""
    return -(-n * PER_MILLE[name] // 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """
    The spread of values, in seconds. Every percentile is one of the values (nearest rank), none is interpolated.

    Attributes:
        n: How many values there were; at least 1.
        p50: Smallest value with at least 50 % of the values at or below it.
        p90: The same with 90 %.
        p99: The same with 99 %.
        p99_9: The same with 99.9 %.
        max: The largest value.
        mean: The arithmetic mean.
    """

    n: int
    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float
    mean: float

    def statistic(self, name: str) -> float:
        """Return a value by its name, e.g. `p99.9`, `max` or `mean`, in seconds."""
        return float(getattr(self, _field(name)))

    def firm(self, name: str) -> bool:
        """Check whether at least ten values lie beyond this percentile, e.g. `firm("p99")` from 1,000 values on."""
        return values_beyond(self.n, name) >= FIRM_BEYOND


def percentiles(values: NDArray[np.float64]) -> Percentiles | None:
    """Return the spread of values in any order; NaN, a value that was not taken, is left out. None without values."""
    ranked = np.sort(values[~np.isnan(values)])
    n = len(ranked)
    if n == 0:
        return None
    named = {_field(name): float(ranked[_rank(n, name) - 1]) for name in PER_MILLE}
    return Percentiles(n=n, **named, max=float(ranked[-1]), mean=float(ranked.mean()))


def choose_percentile(ns: Sequence[int]) -> str:
    """Return the highest percentile that is firm in every trial, given each one's number of jobs; p50 if none is."""
    fewest = min(ns, default=0)
    firm = [name for name in PER_MILLE if values_beyond(fewest, name) >= FIRM_BEYOND]
    return firm[-1] if firm else "p50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """
    One number per trial, summed up.

    Attributes:
        n: How many trials gave one; at least 1.
        median: The middle one, or the mean of the two in the middle.
        min: The smallest.
        max: The largest.
    """

    n: int
    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Self | None:
        """Sum up the values that are known; None if none is."""
        known = [value for value in values if value is not None]
        return cls(n=len(known), median=float(np.median(known)), min=min(known), max=max(known)) if known else None
