"""
Whether arrivals are what they are called: how far the gaps of Poisson plans are from an exponential distribution, as a
part of what chance alone would exceed once in a hundred plans.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from benchmarks.figures import Figure, Promise
from producer.plan.profile import parse_profile, plan

RATE_PER_S = 500.0
CRITICAL = 1.628
"""Of the Kolmogorov-Smirnov statistic times the root of n, at 1 %."""

PROMISE = Promise(most=1.0)


def measure(*, rounds: int = 100, duration_s: float = 60.0) -> list[Figure]:
    """One plan a round, each from a seed of its own."""
    profile = parse_profile(f"{RATE_PER_S:g}/s", duration_s)
    found = [_distance(np.diff(plan(profile, "poisson", seed).due_s)) for seed in range(rounds)]
    return [
        Figure.of(
            "Kolmogorov-Smirnov distance of Poisson gaps / that of chance at 1 %", found, "{:.4f}".format, PROMISE
        )
    ]


def _distance(gaps_s: np.ndarray) -> tuple[float, float]:
    """The largest distance between the gaps' distribution and the exponential one, and the critical one."""
    expected = 1 - np.exp(-np.sort(gaps_s) * RATE_PER_S)
    n = len(gaps_s)
    steps = np.arange(n + 1) / n
    return float(max((steps[1:] - expected).max(), (expected - steps[:-1]).max())), CRITICAL / sqrt(n)
