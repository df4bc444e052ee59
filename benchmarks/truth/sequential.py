"""
How the heights of the sequential test were found: `python -m benchmarks.truth.sequential`.

Equal lanes are looked at after every pair from the third to the 120th, then each time there are 5 % more, up to the
1,000th. The height at which they are told apart as often as wanted is a quantile of the smallest p-value over weight.
Between two looks only the sums count: k pairs add a normal sum of variance k, and squares around their own mean that
are chi-square with k - 1 degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr

from producer.analysis.sequential import HEIGHTS, LEAST_PAIRS, MOST_PAIRS, weight

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EVERY_PAIR_TO, GROWTH = 120, 1.05
SEQUENCES, BLOCK = 3_000_000, 100_000
SEED = 1983
SIGMAS = 3.0
"""A stored height is wrong if it differs by more standard errors of the simulations, its own and this one, together."""

STORED_SEQUENCES = 6_000_000
"""As many sequences the stored heights were found by, with another seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Height:
    """
    A height of the bound, found again.

    Attributes:
        level: How often equal lanes are told apart.
        stored: The height that `producer.analysis.sequential` has.
        found: The one of this simulation.
        error: The standard error of the logarithm of one over the other.
    """

    level: float
    stored: float
    found: float
    error: float

    @property
    def agrees(self) -> bool:
        """True if they differ by no more than simulations do."""
        return abs(math.log(self.found / self.stored)) <= SIGMAS * self.error


def looks() -> list[int]:
    """Return the numbers of pairs after which lanes are looked at."""
    found = list(range(LEAST_PAIRS, EVERY_PAIR_TO + 1))
    while found[-1] < MOST_PAIRS:
        found.append(min(MOST_PAIRS, math.ceil(found[-1] * GROWTH)))
    return found


def smallest(draw: np.random.Generator, sequences: int, at: Sequence[int]) -> Floats:
    """Return the smallest p-value over weight of each of so many sequences of equal lanes, looked at so often."""
    total, squares, before = np.zeros(sequences), np.zeros(sequences), 0
    least = np.full(sequences, np.inf)
    for pairs in at:
        more = pairs - before
        block = draw.standard_normal(sequences) * math.sqrt(more)
        total += block
        squares += block * block / more
        if more > 1:
            squares += draw.chisquare(more - 1, sequences)
        before = pairs
        variance = (squares - total * total / pairs) / (pairs - 1)
        t = np.abs(total) / np.sqrt(variance * pairs)
        np.minimum(least, 2 * stdtr(pairs - 1, -t) / weight(pairs), out=least)
    return least


def heights(sequences: int = SEQUENCES, seed: int = SEED) -> Iterator[Height]:
    """Yield every height that is stored, found again by so many sequences."""
    draw, at = np.random.default_rng(seed), looks()
    keep = math.ceil(1.5 * HEIGHTS[-1][0] * BLOCK)
    blocks = [np.partition(smallest(draw, BLOCK, at), keep)[:keep] for _ in range(sequences // BLOCK)]
    values = np.sort(np.concatenate(blocks))
    slopes = np.gradient(*np.log(HEIGHTS).T[::-1])
    for (level, stored), slope in zip(HEIGHTS, slopes, strict=True):
        # The relative error of a count, and as much more as the height changes faster than the level.
        error = slope * math.sqrt((1 - level) / level * (1 / sequences + 1 / STORED_SEQUENCES))
        yield Height(level=level, stored=stored, found=float(values[round(level * sequences)]), error=error)


def main() -> int:
    """Print each height beside the stored one; 1 if one differs by more than simulations do."""
    print(f"{SEQUENCES:,} sequences of equal lanes, {len(looks())} looks from {LEAST_PAIRS} to {MOST_PAIRS:,} pairs")
    print(f"{'level':>8}{'stored':>12}{'found':>12}{'ratio':>8}{'may be':>17}")
    wrong = 0
    for each in heights():
        most = math.exp(SIGMAS * each.error)
        wrong += not each.agrees
        print(
            f"{each.level:>8g}{each.stored:>12.4g}{each.found:>12.4g}{each.found / each.stored:>8.3f}"
            f"{1 / most:>8.3f} - {most:.3f}{'' if each.agrees else '  differs'}",
            flush=True,
        )
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
