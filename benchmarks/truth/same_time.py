"""
Right verdicts in the time that a race of an earlier version took: `python -m benchmarks.truth.same_time`.

Two things have changed beside where rounds go and when they end. A round takes another time, so that another number of
them fits into the same race; and its pairs vary otherwise, since capacity is counted over a window in which every slot
works, and trials at a held rate have the same number of jobs each. Both were measured on real races of either version
(`benchmarks.truth.earlier`), and simulated races of the worlds with a truth have them here: the earlier design its five
pairs with the noise of the world, the present one the rounds that fit, with noise that is smaller by the same factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.truth.races import MOST_PAIRS_A_COMPARISON, RACES, Pairs, drawn, fixed, grade, lanes_of, race
from benchmarks.truth.worlds import TRUE_RATIOS

if TYPE_CHECKING:
    from benchmarks.truth.races import Floats
    from benchmarks.truth.worlds import World

ROUNDS = 34
"""Those of a race of eight groups in the time of 40 of the earlier version, on average, rounded down."""

CAPACITY_NOISE, LATENCY_NOISE = 0.51, 0.65
"""How much pairs vary, as a part of how much they varied."""

LEVEL_BEFORE = 0.011
"""At which an ordinary test names a wrong winner in as many races of equal lanes, one in a hundred."""

PROMISED = ("README", "mixture", "calm", "restless", "web shop", "data platform")
LEAST_GAIN = 0.10
"""On these worlds so much more of all verdicts are right: four of the audit of the earlier design, and two others."""


def quieter(world: World, truths: Floats, logs: Floats) -> Pairs:
    """Return the pairs of a world as they vary now: those of capacity and of latency each by their own factor."""
    lanes = lanes_of(world)
    of_group = lanes * (lanes - 1) // 2
    factors = [(CAPACITY_NOISE, LATENCY_NOISE)[place // of_group % 2] for place in range(truths.shape[1])]
    return Pairs(truths[..., None] + (logs - truths[..., None]) * np.array(factors)[:, None], lanes)


def main() -> int:
    """Print what part of all verdicts is right, before and now; 1 if it is not as much more as promised."""
    print(f"{RACES:,} races a row, right verdicts in %: five pairs of everything before, and {ROUNDS} rounds now, of")
    print(f"which pairs vary {CAPACITY_NOISE:.2f} (capacity) and {LATENCY_NOISE:.2f} (latency) as much")
    print(f"{'':14}{'before':>9}{'now':>9}{'more':>9}{'wrong':>9}{'wrong now':>11}")
    kept = True
    for world in TRUE_RATIOS:
        truths, of, logs = drawn(world, RACES, MOST_PAIRS_A_COMPARISON)
        was = grade(of, truths, fixed(of, truths, LEVEL_BEFORE), by_interval=False)
        now_of = quieter(world, truths, logs)
        (raced,) = race(now_of, truths, [ROUNDS])
        now = grade(now_of, truths, raced)
        broken = world.name in PROMISED and now.right - was.right < LEAST_GAIN
        kept &= not broken
        cells = "".join(f"{100 * each:9.1f}" for each in (was.right, now.right, now.right - was.right, was.wrong))
        print(f"{world.name:14}{cells}{100 * now.wrong:11.1f}{' BROKEN' if broken else ''}", flush=True)
    return int(not kept)


if __name__ == "__main__":
    raise SystemExit(main())
