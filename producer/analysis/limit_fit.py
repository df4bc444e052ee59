"""
The limit of a lane from all probes of its search, with its interval. Pure.

Near the limit one probe passes and the next one fails, by the chance of arrivals. So the part of probes that pass
falls with the rate along a curve, and what is looked for is where that curve is, not the place of one failure. A probe
fails if too many jobs came too close to each other at any time in it, and the number of such times in a probe is as of
independent events, with a mean that grows as a power of the rate:

    part that passes = m + (1 - 2 m) HELD_PART ** ((rate / limit) ** s)

At the limit it is `HELD_PART`, and `s` says how steeply it falls there. `m` is the part of probes that anything else
decides, e.g. a machine that stood still for a second: one such failure far below the limit moves it little.

Nothing is known of the limit before the first probe (all ratios are as likely), and little of `s`: it lies between
`SLOPES`, and gentle ones are a little more likely. By Bayes' rule each probe then leaves a weight on every pair of
them. The limit is the median of the weights, and its interval is what is left when both ends are cut off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CONFIDENCE = 0.9
"""The part of searches whose interval holds the limit."""

OUTSIDE = 0.035
"""
The part of the weights that is cut off at either end.

Not 0.05: real curves are not quite of this form, and a search goes where the probes so far have led it. With this
`benchmarks/truth/limit.py` finds `CONFIDENCE` for the least favourable queue, and more for others.
"""

HELD_PART = 0.6
"""
The part of probes that pass at the limit.

Not a half: a probe begins with an empty queue, so it passes more easily than a lane that has long been at work. At the
rate whose steady state is just within the SLO some three of five pass, by `benchmarks/truth/limit.py`.
"""

SLOPES = (4.0, 400.0)
"""
The gentlest and the steepest fall of the part that passes, as the power of the rate.

By simulation two busy slots have about 7 in probes of 10 s, and eight slots of equal jobs have 28; a lane without any
chance in it has no end to it.
"""

TILT = 0.75
"""The power of the slope by which gentle ones are more likely; with 0 all ratios are as likely."""

MISTAKEN = 0.02
"""The part of probes that something else than the rate decides, in either direction."""

NONE_PASS = 5.0
"""The logarithm of how many times as frequent breaks are as at the limit, where no probe passes any more."""

PLACES, STEEPNESSES = 241, 13
"""Points of the grid: of the limit, and of the slope."""

STEEPS = np.geomspace(*SLOPES, STEEPNESSES)

BEYOND = 4.0
"""How far beyond the rates that were probed the limit is looked for, as a ratio."""

IGNORED = 1e-5
"""The part of the weights at either end that a finer grid leaves out."""

CANDIDATES = 25
"""Rates among which the next one to probe is chosen."""

Probed = tuple[float, bool]
"""A rate, and whether a probe at it passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """
    Where a limit lies.

    Attributes:
        limit_per_s: The best estimate, in jobs per second.
        low_per_s: The lower end of its 90 % interval.
        high_per_s: The upper end.
    """

    limit_per_s: float
    low_per_s: float
    high_per_s: float

    @property
    def width(self) -> float:
        """The length of the interval, as a part of its lower end."""
        return self.high_per_s / self.low_per_s - 1


def fit(probes: Sequence[Probed]) -> Fit | None:
    """Return the limit that probes show; None unless one of them passed and one failed."""
    if not _shows_both(probes):
        return None
    low, limit, high = _Weights.after(probes).quantiles([OUTSIDE, 0.5, 1 - OUTSIDE])
    return Fit(limit_per_s=math.exp(limit), low_per_s=math.exp(low), high_per_s=math.exp(high))


def most_telling_per_s(probes: Sequence[Probed]) -> float:
    """
    Return the rate at which one more probe is expected to narrow the limit most.

    Raises:
        ValueError: If no probe passed, or none failed.
    """
    if not _shows_both(probes):
        raise ValueError("probes: one must have passed and one failed before the limit can be narrowed")
    weights = _Weights.after(probes)
    candidates = weights.quantiles(np.linspace(OUTSIDE, 1 - OUTSIDE, CANDIDATES).tolist())
    return math.exp(min(candidates, key=weights.expected_variance))


def _shows_both(probes: Sequence[Probed]) -> bool:
    return {passed for _, passed in probes} == {True, False}


@dataclass(frozen=True, slots=True)
class _Weights:
    """
    How likely each pair of limit and slope is.

    Attributes:
        places: Logarithms of the limit, in even steps.
        weights: A row for each of them and a column for each slope; they add up to 1.
    """

    places: Floats
    weights: Floats

    @classmethod
    def after(cls, probes: Sequence[Probed]) -> _Weights:
        """Return the weights that probes leave: on a coarse grid, then on a finer one where the weights are."""
        rates = [math.log(rate) for rate, _ in probes]
        low, high = min(rates) - math.log(BEYOND), max(rates) + math.log(BEYOND)
        coarse = cls._between(low, high, probes)
        step = float(coarse.places[1] - coarse.places[0])
        first, last = coarse.quantiles([IGNORED, 1 - IGNORED])
        return cls._between(max(low, first - step), min(high, last + step), probes)

    @classmethod
    def _between(cls, low: float, high: float, probes: Sequence[Probed]) -> _Weights:
        places = np.linspace(low, high, PLACES)
        logs = np.tile(-TILT * np.log(STEEPS), (PLACES, 1))
        for rate, passed in probes:
            part = part_that_passes(math.log(rate), places[:, None], STEEPS)
            logs += np.log(part if passed else 1 - part)
        weights = np.exp(logs - logs.max())
        return cls(places, weights / weights.sum())

    def quantiles(self, parts: Sequence[float]) -> list[float]:
        """Return the logarithms of the limit below which these parts of the weights lie."""
        below = np.cumsum(self.weights.sum(axis=1))
        # Half of a place's weight lies below its middle.
        found: list[float] = np.interp(parts, below - self.weights.sum(axis=1) / 2, self.places).tolist()
        return found

    def expected_variance(self, rate_log: float) -> float:
        """Return the variance that the logarithm of the limit is expected to have after a probe at a rate."""
        part = part_that_passes(rate_log, self.places[:, None], STEEPS)
        expected = 0.0
        for outcome in (part, 1 - part):
            after = (self.weights * outcome).sum(axis=1)
            probability = float(after.sum())
            mean = float(after @ self.places) / probability
            expected += float(after @ (self.places - mean) ** 2)
        return expected


def part_that_passes(rate_log: float, limit_log: Floats, slope: Floats) -> Floats:
    """Return the part of probes that pass at a rate, for each limit and slope."""
    # Powers as exponentials, and none beyond which nothing passes: the same, in a quarter of the time.
    breaks = -math.log(HELD_PART) * np.exp(np.minimum(slope * (rate_log - limit_log), NONE_PASS))
    found: Floats = MISTAKEN + (1 - 2 * MISTAKEN) * np.exp(-breaks)
    return found
