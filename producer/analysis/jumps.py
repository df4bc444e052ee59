"""
Growth all at once: in how few jumps something grew, where a straight line says less.

What grows in a few jumps has a slope, and yet nothing may be growing: a table that is rebuilt twice is not rebuilt for
ever. What comes often, as the blocks that an allocator takes for a leak, is well told by a line. So a series has jumps
if a line with one to three of them leaves hardly anything of what a line alone leaves. Pure.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import gammaincinv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEW = 3
"""
So many jumps are no rate yet: if they come at random, and so many in such a time, in one of twenty (e^-3) none comes in
as long a time again. Of four it is one of fifty: fewer than the 2.5 % that an interval of 95 % leaves below it.
"""

LEFT = 0.1
"""Jumps leave no more than this part of the squares that a line leaves; of noise around a line far more is left."""

AT_ONCE = 0.5
"""More than this part of a jump came between two neighbouring values: otherwise it is a slope, only a steep one."""

LEAST_VALUES = 12
"""Values below which no jumps are looked for: a line with three jumps would explain nearly any."""

FLAT = 1e-9
"""A part of the values that is only rounding."""

LIKELY = 0.9


def jumps_in(times: Sequence[float], values: Sequence[float]) -> dict[int, float]:
    """
    Return by how much something grew in each of a few jumps, by the place of the value after it; empty if it did not.

    Args:
        times: When each value was seen, ascending.
        values: The values.
    """
    y = np.asarray(values, dtype=np.float64)
    if len(y) < LEAST_VALUES:
        return {}
    line = _lines(tuple(times), 0).bases[0]
    y = y - y.mean()
    y = y - line @ (y @ line)
    left = float(y @ y)
    if left <= len(y) * (FLAT * float(np.abs(values).max())) ** 2:
        return {}
    for count in range(1, FEW + 1):
        fits = _fits(_lines(tuple(times), count), y, LEFT * left)
        found = next((each for each in fits if _is_at_once(each, values)), None)
        if found is not None:
            return found
    return {}


class Lines(NamedTuple):
    """
    Lines with some jumps, in all places where they may be.

    Attributes:
        places: The places of each line's jumps.
        bases: Orthonormal bases of what each can explain.
        inverses: What makes values the level, the slope and the jumps of each.
    """

    places: NDArray[np.int64]
    bases: Floats
    inverses: Floats


@lru_cache(maxsize=32)
def _lines(times: tuple[float, ...], count: int) -> Lines:
    places = np.array(list(combinations(range(1, len(times)), count)), dtype=np.int64)
    explained = np.ones((len(places), len(times), 2 + count))
    explained[:, :, 1] = np.asarray(times) - times[0]
    explained[:, :, 2:] = np.arange(len(times))[None, :, None] >= places[:, None, :]
    return Lines(places, np.linalg.qr(explained).Q, np.linalg.pinv(explained).astype(np.float64, copy=False))


def _fits(lines: Lines, y: Floats, most: float) -> Iterator[dict[int, float]]:
    """Yield the jumps of lines that leave no more squares than that, the best first."""
    left = (y @ y) - ((y @ lines.bases) ** 2).sum(axis=1)
    for best in np.argsort(left):
        if left[best] > most:
            return
        yield dict(zip(lines.places[best].tolist(), (lines.inverses[best, 2:] @ y).tolist(), strict=True))


def _is_at_once(jumps: Mapping[int, float], values: Sequence[float]) -> bool:
    return all(by > 0 and values[place] - values[place - 1] > AT_ONCE * by for place, by in jumps.items())


def times_as_long(count: int) -> float:
    """Return how many times as long it takes until more than a few jumps are likely, if they come at this rate."""
    return float(gammaincinv(FEW + 1, LIKELY)) / count
