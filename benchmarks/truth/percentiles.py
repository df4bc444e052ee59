"""
How often the interval of a percentile holds the true one: `python -m benchmarks.truth.percentiles`.

Jobs of a trial resemble each other, because they wait in one queue; trials are independent. The truth is the percentile
of the steady state, of all jobs that were simulated. An end that is unknown is no bound, so it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.truth.queues import QUEUES
from producer.analysis.latency import groups_of
from producer.analysis.percentiles import PER_MILLE, percentiles
from producer.plan.arrivals import seed_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RUNS = 1_000
TRIALS = (3, 5, 10)
JOBS = (20, 40, 150)
LONG = (200, 500, 1_000, 4_000)
"""Jobs of a single trial, which is cut into stretches."""

NAMES = ("p50", "p90", "p99")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    Where jobs come from.

    Attributes:
        name: Of the table.
        draw: Draws trials of so many jobs: when each was due and how long it took, a row a trial.
    """

    name: str
    draw: Callable[[np.random.Generator, int, int], tuple[Floats, Floats]]


def _independent(how: Callable[[np.random.Generator, tuple[int, int]], Floats]) -> Callable[..., tuple[Floats, Floats]]:
    def draw(generator: np.random.Generator, trials: int, jobs: int) -> tuple[Floats, Floats]:
        due_s = generator.exponential(1.0, (trials, jobs)).cumsum(axis=1)
        return due_s, how(generator, (trials, jobs))

    return draw


WORLDS = (
    *(World(name=queue.name, draw=queue.steady) for queue in QUEUES),
    World(name="exponential", draw=_independent(lambda draw, size: draw.exponential(1.0, size))),
    World(name="lognormal", draw=_independent(lambda draw, size: draw.lognormal(0.0, 1.0, size))),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """
    What became of the intervals of one percentile.

    Attributes:
        holds: The share of them that held the truth.
        known: The share of which both ends were known.
    """

    holds: float
    known: float


def coverage(groups: NDArray[np.int64], runs: Floats, truths: Sequence[float]) -> list[Coverage]:
    """
    Count the intervals that hold the truth.

    Args:
        groups: Of each job of a run.
        runs: Sojourns, a row a run.
        truths: Of each percentile in `NAMES`.
    """
    found = [each for values in runs if (each := percentiles(values, groups))]
    return [
        _coverage([each.interval(name) for each in found], truth) for name, truth in zip(NAMES, truths, strict=True)
    ]


def _coverage(ends: Sequence[tuple[float | None, float | None]], truth: float) -> Coverage:
    holds = [(low is None or low <= truth) and (high is None or truth <= high) for low, high in ends]
    return Coverage(holds=float(np.mean(holds)), known=float(np.mean([None not in pair for pair in ends])))


def rows(world: World, runs: int = RUNS) -> Iterator[tuple[int, int, list[Coverage]]]:
    """Yield the number of trials, that of the jobs of each, and the coverage of each percentile."""
    draw = np.random.default_rng(seed_for(1, world.name))
    _, took_s = world.draw(draw, runs * max(TRIALS), max(JOBS))
    truths = [float(np.quantile(took_s, PER_MILLE[name] / 1000)) for name in NAMES]
    for trials in TRIALS:
        for jobs in JOBS:
            pooled = took_s[: runs * trials, :jobs].reshape(runs, trials * jobs)
            yield trials, jobs, coverage(np.repeat(np.arange(trials), jobs), pooled, truths)
    for jobs in LONG:
        few = max(runs // 2, 1)
        due_s, long_s = world.draw(draw, few, jobs)
        found = [coverage(stretches(due_s[run]), long_s[run : run + 1], truths) for run in range(few)]
        each = zip(*found, strict=True)
        yield (
            1,
            jobs,
            [
                Coverage(holds=float(np.mean([c.holds for c in cs])), known=float(np.mean([c.known for c in cs])))
                for cs in each
            ],
        )


def stretches(due_s: Floats) -> NDArray[np.int64]:
    """Return the groups into which the jobs of a single trial fall."""
    return groups_of(pl.DataFrame({"trial": np.zeros(len(due_s), dtype=np.uint32), "due_at": due_s}))


def main() -> int:
    """Print the table: how many of 100 intervals held the truth, and in brackets of how many both ends were known."""
    print(f"{RUNS:,} runs a row, {RUNS // 2:,} of a single trial; of 100 intervals hold the truth (have both ends)")
    print(f"{'':12}{'trials':>7}{'jobs':>6}" + "".join(f"{name:>14}" for name in NAMES))
    for world in WORLDS:
        for trials, jobs, found in rows(world):
            cells = "".join(f"{100 * each.holds:>8.1f} ({100 * each.known:3.0f})" for each in found)
            print(f"{world.name:12}{trials:>7}{jobs:>6}{cells}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
