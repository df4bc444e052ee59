"""Percentiles over raw values, and which of them a number of values can support."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import ndtri, stdtrit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


UPPER = 0.975
"""A 95 % interval leaves out as much beyond either end."""

LEAST_GROUPS = 2
"""Fewer groups of values do not say how much groups differ."""

PER_MILLE: Mapping[str, int] = {"p50": 500, "p90": 900, "p99": 990, "p99.9": 999}
"""Each percentile by its name, in thousandths so that ranks are counted in whole numbers."""

ENOUGH_BEYOND = 10
"""The values beyond a percentile with which it serves to compare trials: with fewer it rests on a handful of jobs."""


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

    The ends of an interval are values, too. Between them lies, with 95 % confidence, the percentile of all values that
    such trials would give; an end is None where too few values lie beyond the percentile, or too few groups of them are
    known, to say.

    Attributes:
        n: How many values there were; at least 1.
        p50: Smallest value with at least 50 % of the values at or below it.
        p90: The same with 90 %.
        p99: The same with 99 %.
        p99_9: The same with 99.9 %.
        max: The largest value.
        mean: The arithmetic mean.
        p50_low: Lower end of the interval of p50.
        p50_high: Its upper end.
        p90_low: Lower end of the interval of p90.
        p90_high: Its upper end.
        p99_low: Lower end of the interval of p99.
        p99_high: Its upper end.
        p99_9_low: Lower end of the interval of p99.9.
        p99_9_high: Its upper end.
    """

    n: int
    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float
    mean: float
    p50_low: float | None = None
    p50_high: float | None = None
    p90_low: float | None = None
    p90_high: float | None = None
    p99_low: float | None = None
    p99_high: float | None = None
    p99_9_low: float | None = None
    p99_9_high: float | None = None

    def statistic(self, name: str) -> float:
        """Return a value by its name, e.g. `p99.9`, `max` or `mean`, in seconds."""
        return float(getattr(self, _field(name)))

    def interval(self, name: str) -> tuple[float | None, float | None]:
        """Return the ends of a percentile's 95 % interval, in seconds; None for an end that is unknown."""
        return getattr(self, f"{_field(name)}_low"), getattr(self, f"{_field(name)}_high")

    def is_maximum(self, name: str) -> bool:
        """Check whether no value ranks above this percentile, e.g. `is_maximum("p99")` up to 99 values."""
        return values_beyond(self.n, name) == 0


def percentiles(values: NDArray[np.float64], groups: NDArray[np.int64] | None = None) -> Percentiles | None:
    """
    Return the spread of values in any order; NaN, a value that was not taken, is left out. None without values.

    Args:
        values: The values.
        groups: The number of each value's group, from 0; values of a group may resemble each other. Without groups
            there are no intervals.
    """
    taken = ~np.isnan(values)
    ranked = np.sort(values[taken])
    n = len(ranked)
    if n == 0:
        return None
    named = {_field(name): float(ranked[_rank(n, name) - 1]) for name in PER_MILLE}
    ends: Mapping[str, Any] = {} if groups is None else _ends(values[taken], groups[taken], ranked, named)
    return Percentiles(n=n, **named, **ends, max=float(ranked[-1]), mean=float(ranked.mean()))


def _ends(
    values: NDArray[np.float64], groups: NDArray[np.int64], ranked: NDArray[np.float64], named: Mapping[str, float]
) -> dict[str, float | None]:
    """Return the ends of each percentile's interval, by the fields that hold them."""
    sizes = np.bincount(groups)
    here = sizes > 0
    if np.count_nonzero(here) < LEAST_GROUPS:
        return {}
    ends: dict[str, float | None] = {}
    widest = 0.0
    for name, per_mille in PER_MILLE.items():
        field, share = _field(name), per_mille / 1000
        below = np.bincount(groups[values <= named[field]], minlength=len(sizes))
        alike = likeness(share, below[here], sizes[here])
        widest = max(widest, alike)
        low, high = interval_ranks(share, sizes[here], alike_below=widest, alike_above=alike)
        ends[f"{field}_low"] = float(ranked[low - 1]) if low >= 1 else None
        ends[f"{field}_high"] = float(ranked[high - 1]) if high <= len(ranked) else None
    return ends


def likeness(share: float, below: NDArray[np.int64], sizes: NDArray[np.int64]) -> float:
    """
    Return how many times as uncertain a share of values is, in variance, as if each value were independent.

    That is the design effect of sampling, from how the share differs between groups; near 1 if groups do not matter.

    Args:
        share: A percentile's share of the values, e.g. 0.99.
        below: How many values of each group are at or below that percentile.
        sizes: How many values each group has; two groups or more.
    """
    n, groups = int(sizes.sum()), len(sizes)
    surplus = below - sizes * (below.sum() / n)
    between = groups / (groups - 1) * float((surplus**2).sum())
    return between / (n * share * (1 - share))


def interval_ranks(
    share: float, sizes: NDArray[np.int64], *, alike_below: float, alike_above: float
) -> tuple[int, int]:
    """
    Return the ranks of two values between which a percentile lies with 95 % confidence, by Woodruff's method.

    The share of values at or below the percentile is uncertain by as much as it differs between groups, with Student's
    t for their number, and never by less than it would be if every value were independent. The values at the ends of
    that uncertainty are the ends of the interval (R. S. Woodruff, Confidence Intervals for Medians and Other Position
    Measures, Journal of the American Statistical Association 47, 1952).

    Args:
        share: The percentile's share of the values, e.g. 0.99.
        sizes: How many values each group has; two groups or more.
        alike_below: The likeness of groups for the lower end. The few values beyond a high percentile do not show how
            they come in bursts, so it is the largest of any percentile up to this one.
        alike_above: The likeness for the upper end: that at the percentile.

    Returns:
        Ranks from 1; below 1 or above the number of values where that end is unknown.
    """
    n = int(sizes.sum())
    independent = math.sqrt(n * share * (1 - share))
    t = float(stdtrit(len(sizes) - 1, UPPER))
    below, above = (
        independent * max(t * math.sqrt(alike), float(ndtri(UPPER))) for alike in (alike_below, alike_above)
    )
    return math.floor(n * share - below), math.ceil(n * share + above) + 1


def choose_percentile(ns: Sequence[int]) -> str:
    """Return the highest percentile with enough jobs beyond it in every trial, by each one's jobs; p50 if none has."""
    fewest = min(ns, default=0)
    enough = [name for name in PER_MILLE if values_beyond(fewest, name) >= ENOUGH_BEYOND]
    return enough[-1] if enough else "p50"


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
