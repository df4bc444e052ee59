"""
Simulated worlds: what lanes of a race truly differ by, and how their pairs vary.

Eighteen kinds of noise, of thirteen families, for lanes that are equal, and eight worlds of true ratios. A world has
the comparisons of a race side by side, capacity and latency of each workload in turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COMPARISONS = 8
STORED_RATIOS = (1.98, 0.577, 1.119, 0.86, 0.969, 1.005, 1.778, 0.687)
STORED_SDS = (0.06, 0.327, 0.074, 0.066, 0.021, 0.004, 0.055, 0.287)
"""The stored race of README.md: capacity and latency of cpu, native, io and mixed, and how their pairs vary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    Where the pairs of races come from.

    Attributes:
        name: Of the table.
        truths: Draws the true log ratios of so many races, a column a comparison.
        noise: Draws what each pair is off by: races, comparisons and pairs.
        promised: The error of equal lanes is promised to stay below 1 in 100; False where pairs are not independent, or
            so few that they cannot show how much they vary.
    """

    name: str
    truths: Callable[[np.random.Generator, int], Floats]
    noise: Callable[[np.random.Generator, int, int], Floats]
    promised: bool = True

    def races(self, draw: np.random.Generator, races: int, pairs: int) -> tuple[Floats, Floats]:
        """Return the true log ratios of so many races, and those of so many pairs each."""
        truths = self.truths(draw, races)
        return truths, truths[..., None] + self.noise(draw, races, pairs)


def _equal(_: np.random.Generator, races: int) -> Floats:
    return np.zeros((races, COMPARISONS))


def _fixed(ratios: tuple[float, ...]) -> Callable[[np.random.Generator, int], Floats]:
    return lambda _, races: np.tile(np.log(ratios), (races, 1))


def _normal(sds: tuple[float, ...]) -> Callable[[np.random.Generator, int, int], Floats]:
    return lambda draw, races, pairs: draw.standard_normal((races, len(sds), pairs)) * np.array(sds)[:, None]


def _student(freedom: float, sd: float) -> Callable[[np.random.Generator, int, int], Floats]:
    """Return noise with long tails, whose middle is as wide as a normal one of this deviation."""
    return lambda draw, races, pairs: sd * draw.standard_t(freedom, (races, COMPARISONS, pairs))


def _of_trials(
    trials: Callable[[np.random.Generator, int, int], Floats],
) -> Callable[[np.random.Generator, int, int], Floats]:
    """
    Return the noise of pairs, made of that of trials one after the other: a b, b a, b a, a b, and so on, as a race has.

    Args:
        trials: Draws rows of the logarithms of trials, in the order in which they ran.
    """

    def noise(draw: np.random.Generator, races: int, pairs: int) -> Floats:
        logs = trials(draw, races * COMPARISONS, 2 * pairs).reshape(races, COMPARISONS, pairs, 2)
        difference = logs[..., 0] - logs[..., 1]
        difference[..., 1::4] *= -1
        difference[..., 2::4] *= -1
        return difference

    return noise


def _hits(share: float) -> Callable[[np.random.Generator, int, int], Floats]:
    """Return trials that vary by 3 %, and of which a share loses a third."""

    def trials(draw: np.random.Generator, rows: int, count: int) -> Floats:
        lost = np.where(draw.random((rows, count)) < share, np.log(2 / 3), 0.0)
        return 0.03 * draw.standard_normal((rows, count)) + lost

    return trials


def _skewed(draw: np.random.Generator, rows: int, count: int) -> Floats:
    return -0.1 * draw.exponential(1.0, (rows, count))


def _second_slower(draw: np.random.Generator, rows: int, count: int) -> Floats:
    logs = 0.05 * draw.standard_normal((rows, count))
    logs[:, 1::2] -= 0.05
    return logs


def _autoregressive(rho: float, sd: float) -> Callable[[np.random.Generator, int, int], Floats]:
    def trials(draw: np.random.Generator, rows: int, count: int) -> Floats:
        logs = draw.standard_normal((rows, count))
        for place in range(1, count):
            logs[:, place] = rho * logs[:, place - 1] + np.sqrt(1 - rho * rho) * logs[:, place]
        return sd * logs

    return trials


def _walk(draw: np.random.Generator, rows: int, count: int) -> Floats:
    steps = 0.05 * draw.standard_normal((rows, count))
    logs: Floats = steps.cumsum(axis=1) + 0.05 * draw.standard_normal((rows, count))
    return logs


def _drift(draw: np.random.Generator, rows: int, count: int) -> Floats:
    logs: Floats = -0.02 * np.arange(count) + 0.05 * draw.standard_normal((rows, count))
    return logs


def _neighbour(draw: np.random.Generator, rows: int, count: int) -> Floats:
    """Return trials of which two in four lose a tenth to a neighbour, from wherever its period began."""
    phase = draw.integers(0, 4, (rows, 1)) + np.arange(count)
    return 0.05 * draw.standard_normal((rows, count)) - 0.1 * (phase % 4 < 2)


def _alike_pairs(draw: np.random.Generator, races: int, pairs: int) -> Floats:
    return _autoregressive(0.3, 0.1)(draw, races * COMPARISONS, pairs).reshape(races, COMPARISONS, pairs)


def _lucky_starts(draw: np.random.Generator, races: int, pairs: int) -> Floats:
    """Return pairs that vary by 5 %, and starts of the nodes that do by 4 %: the first two pairs are of the first."""
    starts = 0.04 * draw.standard_normal((races, COMPARISONS, 2))
    found: Floats = 0.05 * draw.standard_normal((races, COMPARISONS, pairs))
    return found + starts[..., np.minimum(np.arange(pairs) // 2, 1)]


EQUAL_LANES = (
    *(World(name=f"sd {sd} %", truths=_equal, noise=_normal((sd / 100,) * COMPARISONS)) for sd in (2, 5, 10, 20, 40)),
    World(name="sds of README", truths=_equal, noise=_normal(STORED_SDS)),
    World(name="Student t2", truths=_equal, noise=_student(2, 0.1)),
    World(name="Student t3", truths=_equal, noise=_student(3, 0.1)),
    World(name="hits, 1 in 10", truths=_equal, noise=_of_trials(_hits(0.1))),
    # Three pairs of which the same lane was hit look like a difference, and say nothing of the noise.
    World(name="hits, 1 in 4", truths=_equal, noise=_of_trials(_hits(0.25)), promised=False),
    World(name="skewed", truths=_equal, noise=_of_trials(_skewed)),
    World(name="second slower", truths=_equal, noise=_of_trials(_second_slower)),
    World(name="trials AR(1) 0.5", truths=_equal, noise=_of_trials(_autoregressive(0.5, 0.1)), promised=False),
    World(name="random walk", truths=_equal, noise=_of_trials(_walk)),
    World(name="linear drift", truths=_equal, noise=_of_trials(_drift)),
    World(name="neighbour", truths=_equal, noise=_of_trials(_neighbour)),
    World(name="pairs AR(1) 0.3", truths=_equal, noise=_alike_pairs, promised=False),
    World(name="lucky starts", truths=_equal, noise=_lucky_starts, promised=False),
)


def _spread_truths(equal: float, near: float, near_sd: float, far_sd: float) -> Callable[..., Floats]:
    """Return truths of which a share is equal, a share near to it, and the rest far."""

    def truths(draw: np.random.Generator, races: int) -> Floats:
        size = (races, COMPARISONS)
        kind = draw.random(size)
        far = far_sd * draw.standard_normal(size)
        return np.where(kind < equal, 0.0, np.where(kind < equal + near, near_sd * draw.standard_normal(size), far))

    return truths


def _any_sd(low: float, high: float) -> Callable[[np.random.Generator, int, int], Floats]:
    """Return normal noise whose deviation differs between comparisons, alike often at every order of magnitude."""

    def noise(draw: np.random.Generator, races: int, pairs: int) -> Floats:
        sds = np.exp(draw.uniform(np.log(low), np.log(high), (races, COMPARISONS, 1)))
        found: Floats = sds * draw.standard_normal((races, COMPARISONS, pairs))
        return found

    return noise


def _three_lanes(draw: np.random.Generator, races: int) -> Floats:
    """Return two lanes that are a tenth apart and one that is 1.6 times as fast: three comparisons a measure."""
    a, b, c = (draw.normal(mean, 0.05, (races, 2)) for mean in (0.0, 0.1, np.log(1.6)))
    logs = np.stack([a - b, a - c, b - c], axis=-1)
    logs[:, 1] *= -1
    return logs.reshape(races, 6)


def _three_lanes_noise(draw: np.random.Generator, races: int, pairs: int) -> Floats:
    """Return the noise of three lanes: that of a lane is in both of its comparisons."""
    a, b, c = 0.06 * draw.standard_normal((3, races, 2, pairs))
    return np.stack([a - b, a - c, b - c], axis=2).reshape(races, 6, pairs)


OWN_APP_RATIOS = (1.03, 1.01, 0.97, 0.96, 1.0, 1.02, 1.12, 0.88, 0.94, 1.07)
OWN_APP_SDS = (0.02, 0.08, 0.03, 0.12, 0.015, 0.05, 0.04, 0.15, 0.03, 0.1)

WEB_SHOP_RATIOS = (1.08, 0.90, 1.70, 0.44, 0.99, 1.02, 0.95, 1.07)
WEB_SHOP_SDS = (0.07, 0.16, 0.08, 0.24, 0.04, 0.09, 0.06, 0.14)
DATA_PLATFORM_RATIOS = (1.76, 0.40, 1.05, 0.94, 1.02, 0.97, 1.27, 0.70)
DATA_PLATFORM_SDS = (0.09, 0.26, 0.10, 0.19, 0.06, 0.15, 0.08, 0.20)
"""
What somebody who did not know the design expects of two fleets on two noisy cores: thumbnails, invoices as PDF, mail
and webhooks; CSV in Python, NumPy, uploads and mixed steps. Drawn up when the design had been chosen.
"""

TRUE_RATIOS = (
    World(name="README", truths=_fixed(STORED_RATIOS), noise=_normal(STORED_SDS)),
    World(name="mixture", truths=_spread_truths(0.3, 0.4, 0.15, 0.5), noise=_any_sd(0.01, 0.6)),
    World(
        name="calm",
        truths=_fixed((1.9, 0.6, 1.07, 0.93, 0.99, 1.0, 1.6, 0.75)),
        noise=_normal((0.03, 0.15, 0.03, 0.05, 0.01, 0.005, 0.04, 0.12)),
    ),
    World(
        name="restless",
        truths=_fixed((1.5, 0.8, 1.1, 0.9, 0.97, 1.02, 1.3, 0.8)),
        noise=_normal((0.2, 0.4, 0.12, 0.2, 0.05, 0.03, 0.15, 0.35)),
    ),
    World(name="own app, near", truths=_fixed(OWN_APP_RATIOS), noise=_normal(OWN_APP_SDS)),
    World(name="web shop", truths=_fixed(WEB_SHOP_RATIOS), noise=_normal(WEB_SHOP_SDS)),
    World(name="data platform", truths=_fixed(DATA_PLATFORM_RATIOS), noise=_normal(DATA_PLATFORM_SDS)),
    World(name="three lanes", truths=_three_lanes, noise=_three_lanes_noise),
)
