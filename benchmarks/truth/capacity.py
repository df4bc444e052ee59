"""
What the estimate of capacity is off by, where the true rate is known: `python -m benchmarks.truth.capacity`.

Backlogs of known jobs on simulated slots. Beside the estimate of a race, whose window begins at the 2w-th start, w =
slots, stands the same with windows that begin at the w-th start and at the w-th finish, and the rate of finishes
(N - w) / (f_N - f_w), which counts the last, partly filled round.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from producer.analysis.analyse import capacity_per_s
from producer.plan.arrivals import seed_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Backlog = tuple[Floats, Floats]

SLOTS = 8
JOBS = (17, 33, 43, 64, 67, 160)
"""From a little over two jobs a slot to twenty; with and without a last round that is full."""

RUNS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    A kind of backlog.

    Attributes:
        name: Of the table.
        work_s: Draws the work of some jobs, with a mean of one second.
        shares_core: Whether all slots share one core, as threads share the GIL; otherwise each has its own.
        gap_s: How long a slot of its own idles between two jobs.
    """

    name: str
    work_s: Callable[[np.random.Generator, int], Floats]
    shares_core: bool = False
    gap_s: float = 0.0

    @property
    def truth_per_s(self) -> float:
        """The rate at which such slots work off a backlog without an end."""
        return 1.0 if self.shares_core else SLOTS / (1.0 + self.gap_s)

    def backlog(self, seed: int, jobs: int) -> Backlog:
        """Return when each job of a backlog started and finished."""
        work_s = self.work_s(np.random.default_rng(seed), jobs)
        return shared(work_s) if self.shares_core else apart(work_s, self.gap_s)


def apart(work_s: Floats, gap_s: float) -> Backlog:
    """Run jobs on slots that do not disturb each other, first come first served."""
    free_at = [0.0] * SLOTS
    started_at = np.empty(len(work_s))
    for place, took_s in enumerate(work_s.tolist()):
        started_at[place] = free_at[0]
        heapq.heapreplace(free_at, free_at[0] + took_s + gap_s)
    return started_at, started_at + work_s


def shared(work_s: Floats) -> Backlog:
    """Run jobs on slots that share one core in equal parts."""
    started_at, finished_at = np.zeros(len(work_s)), np.empty(len(work_s))
    now, done_each = 0.0, 0.0  # the work that a job gets which runs all the time
    running = [(took_s, place) for place, took_s in enumerate(work_s[:SLOTS].tolist())]
    heapq.heapify(running)
    coming = SLOTS
    while running:
        done_at, place = running[0]
        now, done_each = now + (done_at - done_each) * len(running), done_at
        finished_at[place] = now
        if coming < len(work_s):
            started_at[coming] = now
            heapq.heapreplace(running, (done_each + float(work_s[coming]), coming))
            coming += 1
        else:
            heapq.heappop(running)
    return started_at, finished_at


def _equal(_draw: np.random.Generator, jobs: int) -> Floats:
    return np.ones(jobs)


def _nearly(draw: np.random.Generator, jobs: int) -> Floats:
    return draw.lognormal(-0.005, 0.1, jobs)


def _exponential(draw: np.random.Generator, jobs: int) -> Floats:
    return draw.exponential(1.0, jobs)


def _two_humps(draw: np.random.Generator, jobs: int) -> Floats:
    """Three in four take 0.4 s, one in four 2.8 s: exact shares, as a race deals them."""
    long = np.arange(jobs) < round(jobs / 4)
    work_s = np.where(draw.permutation(long), 2.8, 0.4)
    return np.asarray(work_s / work_s.mean(), dtype=np.float64)


WORLDS = (
    World(name="equal jobs", work_s=_equal),
    World(name="equal jobs, gaps of 5 %", work_s=_equal, gap_s=0.05),
    World(name="jobs that differ by 10 %", work_s=_nearly),
    World(name="two humps, 3:1", work_s=_two_humps),
    World(name="exponential jobs", work_s=_exponential),
    World(name="one core, equal jobs", work_s=_equal, shares_core=True),
    World(name="one core, 10 %", work_s=_nearly, shares_core=True),
    World(name="one core, two humps", work_s=_two_humps, shares_core=True),
    World(name="one core, exponential", work_s=_exponential, shares_core=True),
)


def of_race(backlog: Backlog) -> float:
    """Return what a race says."""
    found = capacity_per_s(*backlog, SLOTS)
    return float("nan") if found is None else found


def from_start(backlog: Backlog) -> float:
    """Return the same with a window that begins at the w-th start."""
    return overlap_per_s(backlog, float(np.sort(backlog[0])[SLOTS - 1]))


def from_finish(backlog: Backlog) -> float:
    """Return the same with a window that begins at the w-th finish."""
    return overlap_per_s(backlog, float(np.sort(backlog[1])[SLOTS - 1]))


def overlap_per_s(backlog: Backlog, begin_at: float) -> float:
    """Return the jobs, each by its part in the window from an instant to the last start, over the window's length."""
    started_at, finished_at = backlog
    end_at = float(started_at.max())
    if end_at <= begin_at:
        return float("nan")
    inside_s = np.clip(finished_at, begin_at, end_at) - np.clip(started_at, begin_at, end_at)
    return float((inside_s / (finished_at - started_at)).sum()) / (end_at - begin_at)


def of_finishes(backlog: Backlog) -> float:
    """Return the rate of finishes after the w-th."""
    finished_at = np.sort(backlog[1])
    return (len(finished_at) - SLOTS) / float(finished_at[-1] - finished_at[SLOTS - 1])


ESTIMATES: Mapping[str, Callable[[Backlog], float]] = {
    "from s_2w": of_race,
    "from s_w": from_start,
    "from f_w": from_finish,
    "finishes": of_finishes,
}


def off_by(world: World, jobs: int, runs: int = RUNS) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of each estimate's error, as parts of the truth."""
    backlogs = [world.backlog(seed_for(1, world.name, jobs, run), jobs) for run in range(runs)]
    errors = {name: np.array(list(map(of, backlogs))) / world.truth_per_s - 1 for name, of in ESTIMATES.items()}
    return {name: (float(np.nanmean(error)), float(np.nanstd(error))) for name, error in errors.items()}


def main() -> int:
    """Print the table: bias and spread in percent, by world and number of jobs."""
    print(f"{SLOTS} slots, {RUNS:,} backlogs a row: mean error (standard deviation), in %")
    print(f"{'':26}{'jobs':>6}" + "".join(f"{name:>18}" for name in ESTIMATES))
    for world in WORLDS:
        for jobs in JOBS:
            found = off_by(world, jobs)
            cells = "".join(f"{100 * mean:>+10.1f} ({100 * sd:4.1f})" for mean, sd in found.values())
            print(f"{world.name:26}{jobs:>6}{cells}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
