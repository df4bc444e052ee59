"""
A t-test that may be looked at after every pair, and the intervals that belong to it. Pure.

An ordinary test keeps its promise only if the number of pairs was fixed beforehand: whoever looks after every pair and
stops when it pleases is fooled several times as often. Here the p-value after n pairs must be below a bound that
depends on n and on how often one wants to be fooled at most, over all looks together. The bound has a shape, `weight`,
that was chosen beforehand, and a height, `HEIGHTS`, that was found by simulation of equal lanes looked at after every
pair from the third to the 1,000th (`python -m benchmarks.truth.sequential`). Intervals hold at every look in the same
sense: they are the ratios that the test does not reject (repeated confidence intervals).

Sources: Lan and DeMets, Discrete sequential boundaries for clinical trials, Biometrika 70 (1983) 659-663; Jennison and
Turnbull, Interim analyses: the repeated confidence interval approach, J. R. Statist. Soc. B 51 (1989) 305-361.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

if TYPE_CHECKING:
    from producer.analysis.stats import LogRatio

LEAST_PAIRS, MOST_PAIRS = 3, 1000
"""Pairs before the first look, and after the last one that the heights were found for."""

FULL_WEIGHT_PAIRS = 8
"""Pairs after which a look weighs most: about as many as a comparison gets that a race cannot settle at once."""

HEIGHTS: tuple[tuple[float, float], ...] = (
    (1e-05, 1.204e-06),
    (2e-05, 2.359e-06),
    (5e-05, 6.042e-06),
    (0.0001, 1.239e-05),
    (0.0002, 2.772e-05),
    (0.0005, 7.649e-05),
    (0.001, 0.0001597),
    (0.002, 0.0003403),
    (0.005, 0.0009288),
    (0.01, 0.0019967),
    (0.02, 0.00436),
    (0.05, 0.012624),
    (0.1, 0.028987),
    (0.2, 0.068699),
)
"""How often equal lanes may be told apart, at whatever look, and the height of the bound at which they are as often."""


def weight(pairs: int) -> float:
    """Return the shape of the bound: it rises with the root of the pairs, then falls so that looks may go on."""
    if pairs <= FULL_WEIGHT_PAIRS:
        return float(np.sqrt(pairs / FULL_WEIGHT_PAIRS))
    return (FULL_WEIGHT_PAIRS / pairs) ** 2


def bound(level: float, pairs: int) -> float:
    """
    Return the p-value below which a t-test after so many pairs tells lanes apart.

    Args:
        level: How often equal lanes may be told apart, over all looks together, e.g. 0.05.
        pairs: Pairs so far, at least `LEAST_PAIRS`.
    """
    if pairs < LEAST_PAIRS:
        raise ValueError(f"pairs {pairs!r}: must be {LEAST_PAIRS} or more")
    levels, heights = np.log(HEIGHTS).T
    height = float(np.exp(np.interp(np.log(level), levels, heights)))
    if level < HEIGHTS[0][0]:  # the rarest that was simulated; below it both fall alike
        height = HEIGHTS[0][1] * level / HEIGHTS[0][0]
    return min(height * weight(pairs), 1.0)


def level_reached(p_value: float, pairs: int) -> float:
    """Return the level at which a p-value just tells lanes apart: how often equal lanes show as much, at most 1."""
    height = p_value / weight(pairs)
    if height <= HEIGHTS[0][1]:
        return HEIGHTS[0][0] * height / HEIGHTS[0][1]
    if height >= HEIGHTS[-1][1]:
        return 1.0
    levels, heights = np.log(HEIGHTS).T
    return float(np.exp(np.interp(np.log(height), heights, levels)))


def half_width(level: float, pairs: int, sd: float) -> float:
    """Return half the width of the interval of a mean that the truth is outside of, at any look, as often as level."""
    # From the lower tail: 1 - p would lose the digits of a p-value that is small beside 1.
    return -float(stdtrit(pairs - 1, bound(level, pairs) / 2)) * sd / float(np.sqrt(pairs))


def interval(ratio: LogRatio, level: float) -> tuple[float, float]:
    """Return the ends of the interval of a log ratio; a point if all pairs agree."""
    half = half_width(level, ratio.pairs, ratio.sd)
    return ratio.mean - half, ratio.mean + half
