"""
The fit of Poisson arrivals: the distance of a plan's gaps from an exponential distribution, as a part of the distance
that chance alone exceeds once in a hundred plans.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from benchmarks.figures import Figure, Promise
from producer.plan.profile import parse_profile, plan_arrivals

RATE_PER_S = 500.0
CRITICAL = 1.628
"""The critical value of the Kolmogorov-Smirnov statistic times the root of n, at 1 %."""

PROMISE = Promise(most=1.0)


def measure(*, rounds: int = 100, duration_s: float = 60.0) -> list[Figure]:
    """Make one plan a round, each from a seed of its own."""
    profile = parse_profile(f"{RATE_PER_S:g}/s", duration_s)
    found = [_distance(np.diff(plan_arrivals(profile, "poisson", seed).due_s)) for seed in range(rounds)]
    return [
        Figure.of(
            "Kolmogorov-Smirnov distance of Poisson gaps / that of chance at 1 %", found, "{:.4f}".format, PROMISE
        )
    ]


def _distance(gaps_s: np.ndarray) -> tuple[float, float]:
    """Return the largest distance between the gaps' distribution and the exponential one, and the critical distance."""
    expected = 1 - np.exp(-np.sort(gaps_s) * RATE_PER_S)
    n = len(gaps_s)
    steps = np.arange(n + 1) / n
    return float(max((steps[1:] - expected).max(), (expected - steps[:-1]).max())), CRITICAL / sqrt(n)
