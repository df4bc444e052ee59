"""
What a soak of an hour says of memory of which the truth is known: `python -m benchmarks.truth.growth`.

One process works for an hour, and its memory is sampled every ten seconds. The times of jumps are drawn anew in each
run, as is the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np

from producer.analysis.growth import HOUR_S, Followed, Growing, Work, growths_of
from producer.plan.arrivals import seed_for
from producer.plan.run_settings import SoakOptions
from producer.rundir.trials import Kind, Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Held = Callable[[np.random.Generator, Floats], Floats]

RUNS = 1_000
MIB = 2**20
EVERY_S = 10.0
LEVEL_MIB = 60.0
TOLERATED_MIB_PER_H = 4.0
ERRORS, COST = 0.03, 0.1
"""
The most that is promised: how often noise, a cache or a few jumps are called a leak; and how much less often a leak is
found than if nobody looked for jumps.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    Memory of a process.

    Attributes:
        name: What it does.
        held: Returns how many MiB it holds at some parts of the hour, more than at first and without noise.
        noise: Returns noise at these parts, in MiB.
        leaks: Whether it grows for good; None where nobody can know after an hour.
    """

    name: str
    held: Held
    noise: Held
    leaks: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """
    How often what was said, as parts of all runs.

    Attributes:
        line: That it leaks, if nobody looks for jumps.
        leak: That it leaks.
        no_leak: That it does not.
        jumps: That it cannot be said because it grew in a few jumps.
        unknown: That it cannot be said for another reason.
    """

    line: float
    leak: float
    no_leak: float
    jumps: float
    unknown: float


def line(mib: float) -> Held:
    """Return memory that grows by so much in the hour."""
    return lambda _draw, at: mib * at


def at_random(count: int, mib: float) -> Held:
    """Return memory that grows in so many jumps of one size, any time after the first quarter."""
    return lambda draw, at: _jumps(draw.uniform(0.26, 0.99, count), mib, at)


def in_turn(count: int, mib: float) -> Held:
    """Return memory that grows in so many jumps of one size, as far apart from each other."""
    return lambda draw, at: _jumps((np.arange(count) + draw.uniform()) / count, mib, at)


def often(count: float, mib: float) -> Held:
    """Return memory that grows in jumps of one size that come at random, so many on average."""
    return lambda draw, at: _jumps(draw.uniform(size=draw.poisson(count)), mib, at)


def at_start(mib: float) -> Held:
    """Return memory that grows all at once in the first quarter."""
    return lambda draw, at: _jumps(draw.uniform(0.0, 0.24, 1), mib, at)


def sawtooth(mib: float, period: float) -> Held:
    """Return memory that is filled and freed, as by a garbage collector, once in that part of the hour."""
    return lambda draw, at: mib * ((at / period + draw.uniform()) % 1.0)


def filling(mib: float, part: float) -> Held:
    """Return memory of a cache that fills, by a factor of e in that part of the hour."""
    return lambda _draw, at: mib * (1 - np.exp(-at / part))


def together(*parts: Held) -> Held:
    """Return memory that several things hold."""
    return lambda draw, at: sum((part(draw, at) for part in parts), np.zeros_like(at))


def _jumps(places: Floats, mib: float, at: Floats) -> Floats:
    found: Floats = mib * (at[:, None] >= places).sum(axis=1).astype(np.float64)
    return found


def white(sd_mib: float) -> Held:
    """Return noise of which each sample is independent."""
    return lambda draw, at: draw.normal(0.0, sd_mib, len(at)) if sd_mib else np.zeros_like(at)


def lasting(sd_mib: float, part: float) -> Held:
    """Return noise that resembles itself for that part of the hour."""

    def noise(draw: np.random.Generator, at: Floats) -> Floats:
        keep = float(np.exp(-(at[1] - at[0]) / part))
        found = draw.normal(0.0, sd_mib, len(at))
        for place in range(1, len(at)):
            found[place] = keep * found[place - 1] + (1 - keep**2) ** 0.5 * found[place]
        return found

    return noise


QUIET, NOISY, SLOW = white(0.02), white(0.5), lasting(0.3, 1 / 20)
WORLDS = (
    World(name="level, noise of 0.5 MiB", held=line(0.0), noise=NOISY, leaks=False),
    World(name="level, noise of 0.3 MiB that lasts 3 minutes", held=line(0.0), noise=SLOW, leaks=False),
    World(name="filled and freed, 8 MiB in 7 minutes", held=sawtooth(8.0, 7 / 60), noise=QUIET, leaks=False),
    World(name="filled and freed, 8 MiB in 25 minutes", held=sawtooth(8.0, 25 / 60), noise=QUIET, leaks=False),
    World(name="20 MiB in the first quarter, at once", held=at_start(20.0), noise=QUIET, leaks=False),
    World(name="a cache of 30 MiB that fills in 10 minutes", held=filling(30.0, 1 / 6), noise=QUIET, leaks=False),
    World(name="1 jump of 1.8 MiB", held=at_random(1, 1.83), noise=QUIET, leaks=None),
    World(name="1 jump of 30 MiB", held=at_random(1, 30.0), noise=QUIET, leaks=None),
    World(name="2 jumps of 1.8 MiB", held=at_random(2, 1.83), noise=QUIET, leaks=None),
    World(name="2 jumps of 1.8 MiB, noise of 0.5 MiB", held=at_random(2, 1.83), noise=NOISY, leaks=None),
    World(name="2 jumps of 30 MiB, noise of 0.5 MiB", held=at_random(2, 30.0), noise=NOISY, leaks=None),
    World(name="3 jumps of 4 MiB", held=at_random(3, 4.0), noise=QUIET, leaks=None),
    World(name="8 MiB an hour", held=line(8.0), noise=white(0.0), leaks=True),
    World(name="8 MiB an hour, noise of 0.5 MiB", held=line(8.0), noise=NOISY, leaks=True),
    World(name="8 MiB an hour, noise of 0.3 MiB that lasts", held=line(8.0), noise=SLOW, leaks=True),
    World(
        name="8 MiB an hour, and 1 jump of 20 MiB", held=together(line(8.0), at_random(1, 20.0)), noise=QUIET,
        leaks=True,
    ),
    World(name="132 KiB 62 times, at random", held=often(62, 0.129), noise=QUIET, leaks=True),
    World(name="1 MB every 5 minutes", held=in_turn(12, 0.954), noise=QUIET, leaks=True),
    World(name="1 MB 12 times, at random", held=often(12, 0.954), noise=QUIET, leaks=True),
    World(name="2 MiB every 7.5 minutes", held=in_turn(8, 2.0), noise=QUIET, leaks=True),
    World(name="2 MiB 8 times, at random", held=often(8, 2.0), noise=QUIET, leaks=True),
    World(name="4 MiB every 10 minutes", held=in_turn(6, 4.0), noise=QUIET, leaks=True),
    World(name="4 MiB every 15 minutes", held=in_turn(4, 4.0), noise=QUIET, leaks=None),
)  # fmt: skip

OPTIONS = SoakOptions(for_s=HOUR_S, recycled={}, recycle_jobs=100, tolerated_bytes_per_h=int(TOLERATED_MIB_PER_H * MIB))
HOUR = Trial(
    trial=0, kind=Kind.LATENCY, workload="sleep", lane="lane", round=0, jobs=1, rate_per_s=1.0, slots=1, began_at=0.0,
    ended_at=HOUR_S,
)  # fmt: skip


def said(world: World, runs: int = RUNS) -> Said:
    """Return how often what is said of a process."""
    draw = np.random.default_rng(seed_for(1, world.name))
    processes = [_process(world, draw) for _ in range(runs)]
    found = [_said_of(each) for each in processes]
    with patch("producer.analysis.growth.jumps_in", return_value={}):
        line = [_said_of(each) for each in processes]
    parts = {name: found.count(name) / runs for name in ("leak", "no_leak", "jumps", "unknown")}
    return Said(line=line.count("leak") / runs, **parts)


def _process(world: World, draw: np.random.Generator) -> Followed:
    at = np.linspace(0.0, 1.0, int(HOUR_S / EVERY_S) + 1)
    held = LEVEL_MIB + world.held(draw, at) + world.noise(draw, at)
    return Followed(root=True, at=HOUR_S * at, values={"memory": MIB * held})


def _said_of(process: Followed) -> str:
    (growth,) = growths_of([process], Work([HOUR]), OPTIONS)
    if growth.growing is Growing.UNKNOWN and growth.jumps:
        return "jumps"
    return {Growing.LEAK: "leak", Growing.NO_LEAK: "no_leak", Growing.UNKNOWN: "unknown"}[growth.growing]


def broken(world: World, found: Said) -> str:
    """Return which promise is broken; empty if none is."""
    if world.leaks:
        return "a leak is hidden" if found.leak < found.line - COST or found.no_leak > ERRORS else ""
    return "called a leak" if found.leak > ERRORS else ""


def main() -> int:
    """Print what is said of each, in %; 1 if a promise is broken."""
    print(f"An hour of one process, {TOLERATED_MIB_PER_H:g} MiB an hour tolerated, {RUNS:,} runs a row, in %")
    print(f"{'':46}{'leak, by a line':>16}{'leak':>7}{'no leak':>9}{'jumps':>7}{'cannot say':>12}")
    wrong = 0
    for world in WORLDS:
        found = said(world)
        cells = (found.line, found.leak, found.no_leak, found.jumps, found.unknown)
        text = "".join(f"{100 * cell:>{width}.1f}" for cell, width in zip(cells, (16, 7, 9, 7, 12), strict=True))
        why = broken(world, found)
        wrong += bool(why)
        print(f"{world.name:46}{text}{'  ' + why if why else ''}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
