"""
Sweeps over nodes of which all is known: do the intervals hold that, and is a peak named only where there is one.

`python -m benchmarks.truth.law`. The fit is the product's own, and so is the order of the values. Each trial is off by
chance, each start of a node is as a whole a little faster or slower, and the machine may become slower meanwhile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import click
import numpy as np

from producer.analysis.usl import fit
from producer.measure.sweep import there_and_back

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDS = 3
RESAMPLES = 200
"""Fits for an interval: half of the product's, which moves its ends little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    Nodes whose throughput is known, on a machine that varies.

    Attributes:
        name: What is special about it.
        contention: Of the law that makes the trials.
        coherency: Of that law.
        nodes: The values of the sweep.
        most: Nodes beyond which more do neither more nor less, which is no such law; None where there are none.
        trial_sd: By how much a trial is off, as the standard deviation of a logarithm.
        start_sd: By how much a start of a value's nodes is.
        drift: By how much the machine becomes slower from one visit of a value to the next.
    """

    name: str
    contention: float
    coherency: float
    nodes: Sequence[int] = (1, 2, 4, 8)
    most: int | None = None
    trial_sd: float = 0.05
    start_sd: float = 0.0
    drift: float = 0.0

    @property
    def peak(self) -> float | None:
        """Nodes with which it does most; None if it never does less, or only with more than are measured."""
        if not self.coherency:
            return None
        found = math.sqrt((1 - self.contention) / self.coherency)
        return found if found < max(self.nodes) else None

    def per_s(self, nodes: int) -> float:
        """Return what so many nodes do, in jobs per second."""
        n = min(nodes, self.most or nodes)
        return 100 * n / (1 + self.contention * (n - 1) + self.coherency * n * (n - 1))


WORLDS = (
    World(name="a tenth at a time", contention=0.1, coherency=0.0),
    World(name="peak at 6.9", contention=0.05, coherency=0.02),
    World(name="peak at 14, not measured", contention=0.02, coherency=0.005),
    World(name="peak at 3.7 of 4", contention=0.3, coherency=0.05, nodes=(1, 2, 4)),
    World(name="half at a time, no peak", contention=0.5, coherency=0.0),
    World(name="nearly all, no peak", contention=0.9, coherency=0.0),
    World(name="flat from 2 nodes on", contention=0.0, coherency=0.0, most=2),
    World(name="starts differ by 4 %", contention=0.05, coherency=0.02, start_sd=0.04),
    World(name="slower by 1 % a visit", contention=0.05, coherency=0.02, drift=0.01),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LawTruth:
    """
    What came of many sweeps over nodes of which all is known.

    Attributes:
        world: The nodes and the machine.
        interleaved: Whether the values took turns; else each was measured to its end before the next.
        sweeps: How many there were.
        contention: In how many the interval of contention held it.
        coherency: In how many that of coherency did.
        misfits: In how many the law was said not to fit.
        named: In how many a peak was named.
        peak: In how many of these its interval held it; 0 where there is none.
        peaks: The 5th, 50th and 95th percentile of the peaks that were named; None without any.
    """

    world: World
    interleaved: bool
    sweeps: int
    contention: int
    coherency: int
    misfits: int
    named: int
    peak: int
    peaks: tuple[float, float, float] | None


def visits(world: World, *, interleaved: bool) -> Iterator[tuple[int, bool]]:
    """Yield the number of nodes of each visit, and whether they are started for it."""
    if interleaved:
        for round_ in range(ROUNDS):
            yield from ((nodes, True) for nodes in there_and_back(world.nodes, round_))
    else:
        for nodes in world.nodes:
            yield from ((nodes, visit == 0) for visit in range(ROUNDS))


def measured(world: World, rng: np.random.Generator, *, interleaved: bool) -> dict[int, list[float]]:
    """Return what the trials of one sweep give, by number of nodes."""
    found: dict[int, list[float]] = {nodes: [] for nodes in world.nodes}
    luck, visit = 0.0, count()
    for nodes, starts in visits(world, interleaved=interleaved):
        luck = rng.normal(0, world.start_sd) if starts else luck
        off = luck + rng.normal(0, world.trial_sd) - world.drift * next(visit)
        found[nodes].append(world.per_s(nodes) * math.exp(off))
    return found


def swept(world: World, *, interleaved: bool = True, sweeps: int = 200, seed: int = 1) -> LawTruth:
    """Sweep over nodes many times."""
    rng = np.random.default_rng(seed)
    held = {"contention": 0, "coherency": 0, "peak": 0}
    peaks, misfits = [], 0
    for _ in range(sweeps):
        law = fit(measured(world, rng, interleaved=interleaved), resamples=RESAMPLES)
        assert law
        for name, truth in (("contention", world.contention), ("coherency", world.coherency)):
            estimate = getattr(law, name)
            held[name] += estimate.low <= truth <= estimate.high
        misfits += law.misfit is not None
        if law.peak:
            peaks.append(law.peak.value)
            assert law.peak.low is not None
            held["peak"] += world.peak is not None and law.peak.low <= world.peak <= (law.peak.high or math.inf)
    low, middle, high = np.quantile(peaks, [0.05, 0.5, 0.95]).tolist() if peaks else (math.nan,) * 3
    return LawTruth(
        world=world,
        interleaved=interleaved,
        sweeps=sweeps,
        **held,
        misfits=misfits,
        named=len(peaks),
        peaks=(low, middle, high) if peaks else None,
    )


@click.command()
@click.option("--sweeps", default=100, show_default=True, help="Sweeps in each world.")
def main(*, sweeps: int) -> None:
    """Print how often the law of scaling is right."""
    click.echo(f"{'world':26} {'values':17}  a held  b held  no fit  peak named  of these held  from, middle, to")
    for world in WORLDS:
        for interleaved in (True, False) if world.start_sd or world.drift else (True,):
            found = swept(world, interleaved=interleaved, sweeps=sweeps)
            click.echo(_row(found))


def _row(found: LawTruth) -> str:
    order = "take turns" if found.interleaved else "after one another"
    parts = (each / found.sweeps for each in (found.contention, found.coherency, found.misfits, found.named))
    a_held, b_held, misfits, named = (f"{part:.0%}" for part in parts)
    of_named = f"{found.peak / found.named:.0%}" if found.named and found.world.peak else "-"
    ends = " ".join(f"{peak:.1f}" for peak in found.peaks or ()) or "-"
    return (
        f"{found.world.name:26} {order:17}  {a_held:>6}  {b_held:>6}  {misfits:>6}  {named:>10}  {of_named:>13}  {ends}"
    )


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.truth.law")
