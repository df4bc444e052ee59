"""
Searches for limits that are known: how often does the interval hold them. `python -m benchmarks.truth.limit [--real]`.

Queues whose steady state is known are probed by the product's own search: by M/M/c's formula, or by millions of jobs
of M/D/c. A probe begins with an empty queue and lasts as long as it would; its rule is that of `analysis/limit.py`.
With `--real` real nodes are searched, whose jobs sleep for a known time.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from producer.analysis.limit import limit_lanes
from producer.analysis.search import MOST_PROBES, Search
from producer.analysis.settle import settle
from producer.measure.kinds import measure_run
from producer.measure.limit import LimitSettings
from producer.plan.lanes import parse_lanes
from producer.plan.settings import default_of
from producer.plan.thresholds import parse_threshold
from producer.report.formats import number
from producer.report.progress.display import Silent
from producer.rundir.reader import read_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from producer.analysis.limit import LimitLane

    Floats = NDArray[np.float64]

PART = 0.99
STEADY_JOBS = 2_000_000
"""Jobs of the run that shows the steady state of M/D/c."""

STEADY_BLOCKS = 4
"""Such runs; the truth is the mean of theirs."""

FIRST_SHARES = (0.2, 0.6)
"""The first rate of a search, as a part of the truth: half of a warm-up, which is mostly filling and draining."""

GRID = np.concatenate([np.linspace(0.3, 0.66, 4), np.linspace(0.7, 1.3, 25), [1.4, 1.6]])
"""Rates, as parts of the truth, at which the part of probes that pass is simulated; it is read between them."""

AT_TRUTH = 2000
"""Probes that show which part passes at the truth itself."""

SLEEP_S = 0.05
SLOTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """
    A lane in the abstract.

    Attributes:
        slots: Jobs that run at once.
        service_s: The mean time that a job holds a slot, in seconds.
        random: Whether these times are exponential; else all are the same.
        slo_s: The time that the 99th percentile of the sojourn must stay below.
    """

    slots: int
    service_s: float
    random: bool
    slo_s: float

    @property
    def name(self) -> str:
        """Its name in Kendall's notation, with service time and SLO."""
        law = "M" if self.random else "D"
        return f"M/{law}/{self.slots} {self.service_s * 1000:.0f} ms, p99 < {self.slo_s * 1000:.0f} ms"


QUEUES = (
    Queue(slots=8, service_s=0.05, random=False, slo_s=0.5),
    Queue(slots=8, service_s=0.05, random=False, slo_s=0.1),
    Queue(slots=8, service_s=0.05, random=True, slo_s=0.5),
    Queue(slots=1, service_s=0.03, random=False, slo_s=0.5),
    Queue(slots=2, service_s=0.03, random=True, slo_s=0.5),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitTruth:
    """
    What came of many searches for a limit that is known.

    Attributes:
        queue: The queue that was searched.
        probe_s: How long a probe took, in seconds.
        truth_per_s: The rate at which the steady state's percentile is the bound, in jobs per second.
        passed_at_truth: The part of probes that pass at that rate.
        searches: How many there were.
        held: In how many of them the interval held it.
        above: In how many all of the interval lay above it.
        ratio: The median of what they found over the truth.
        error: The root of the mean square of the logarithm of that.
        width: The median of the interval's length, as a part of its lower end.
        probes: The mean number of probes.
    """

    queue: Queue
    probe_s: float
    truth_per_s: float
    passed_at_truth: float
    searches: int
    held: int
    above: int
    ratio: float
    error: float
    width: float
    probes: float


@cache
def true_limit_per_s(queue: Queue, *, jobs: int = STEADY_JOBS) -> float:
    """Return the rate at which the steady state's 99th percentile of the sojourn is the bound."""
    if queue.random:
        return _highest(queue, lambda rate: exponential_tail(queue, rate) < 1 - PART)
    found = []
    for block in range(STEADY_BLOCKS):
        due = np.cumsum(np.random.default_rng(block).exponential(size=(1, jobs)), axis=1)
        found.append(_highest(queue, partial(_keeps, queue, due), steps=16))
    return float(np.mean(found))


def _keeps(queue: Queue, due: Floats, rate_per_s: float) -> bool:
    """Check whether equal jobs that come at these times, in units of their mean gap, keep the SLO at a rate."""
    took_s = waits_of_equal_jobs(due / rate_per_s, queue.slots, queue.service_s)[0, due.shape[1] // 50 :]
    rank = math.ceil(PART * len(took_s)) - 1
    return bool(np.partition(took_s, rank)[rank] + queue.service_s < queue.slo_s)


def _highest(queue: Queue, keeps: Callable[[float], bool], steps: int = 30) -> float:
    """Return the highest rate below saturation that keeps a condition, by halving."""
    low, high = 0.0, queue.slots / queue.service_s
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return low


def exponential_tail(queue: Queue, rate_per_s: float) -> float:
    """
    Return which part of the jobs of M/M/c take longer than the SLO allows, in the steady state.

    By Erlang's C the part C waits, for an exponential time with the rate `c / service - rate`, and then is served.
    """
    busy = rate_per_s * queue.service_s
    waits = busy**queue.slots / math.factorial(queue.slots) / (1 - busy / queue.slots)
    waits /= sum(busy**k / math.factorial(k) for k in range(queue.slots)) + waits
    served, leaves, t = 1 / queue.service_s, queue.slots / queue.service_s - rate_per_s, queue.slo_s
    if math.isclose(served, leaves):
        leaves *= 1 + 1e-6
    both = (leaves * math.exp(-served * t) - served * math.exp(-leaves * t)) / (leaves - served)
    return (1 - waits) * math.exp(-served * t) + waits * both


def waits_of_equal_jobs(due_s: Floats, slots: int, service_s: float) -> Floats:
    """
    Return how long each job waits for a slot, if all take the same time; a row a run, jobs in the order of arrival.

    They begin in the order in which they came and end in that order, so a job waits for the one `slots` before it
    alone, and slots are as many separate queues.
    """
    runs, jobs = due_s.shape
    padded = np.pad(due_s, ((0, 0), (0, -jobs % slots)), constant_values=np.inf).reshape(runs, -1, slots)
    ahead_s = np.arange(padded.shape[1])[None, :, None] * service_s
    starts_s = np.maximum.accumulate(padded - ahead_s, axis=1) + ahead_s
    found: Floats = starts_s.reshape(runs, -1)[:, :jobs] - due_s
    return found


def waits(due_s: Floats, service_s: Floats, slots: int) -> Floats:
    """Return how long each job waits for the slot that is free first; a row a run."""
    runs = np.arange(len(due_s))
    free_s, found = np.zeros((len(due_s), slots)), np.empty_like(due_s)
    for job in range(due_s.shape[1]):
        slot = free_s.argmin(axis=1)
        starts_s = np.maximum(due_s[:, job], free_s[runs, slot])
        free_s[runs, slot] = starts_s + service_s[:, job]
        found[:, job] = starts_s - due_s[:, job]
    return found


def probes_pass(
    queue: Queue, rate_per_s: float, probe_s: float, probes: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return of each of some probes at a rate whether it passes: the SLO is kept, and the wait does not grow."""
    expected = rate_per_s * probe_s
    due_s = np.cumsum(rng.exponential(1 / rate_per_s, (probes, int(expected + 6 * math.sqrt(expected) + 10))), axis=1)
    if queue.random:
        service_s = rng.exponential(queue.service_s, due_s.shape)
        waited_s = waits(due_s, service_s, queue.slots)
    else:
        service_s = np.full_like(due_s, queue.service_s)
        waited_s = waits_of_equal_jobs(due_s, queue.slots, queue.service_s)
    of_probe = due_s < probe_s
    p99_s = _ranked(waited_s + service_s, of_probe, PART)
    last_s = _ranked(waited_s, of_probe & (due_s >= 0.75 * probe_s), 0.5)
    growth_s = last_s - _ranked(waited_s, due_s < 0.25 * probe_s, 0.5)
    passed: NDArray[np.bool_] = (p99_s < queue.slo_s) & (growth_s <= np.median(service_s))
    return passed


def _ranked(values: Floats, of: NDArray[np.bool_], part: float) -> Floats:
    """Return of each row the value that a part of those chosen does not exceed, by nearest rank."""
    columns = of.any(axis=0)
    values, of = values[:, columns], of[:, columns]
    ordered = np.sort(np.where(of, values, np.inf), axis=1)
    ranks = np.maximum(np.ceil(part * of.sum(axis=1)).astype(int) - 1, 0)
    found: Floats = ordered[np.arange(len(values)), ranks]
    return found


def searched(
    queue: Queue,
    probe_s: float,
    *,
    searches: int = 200,
    probes: int = 300,
    precision: float = default_of(LimitSettings, "precision"),
    most_probes: int = MOST_PROBES,
    seed: int = 1,
) -> LimitTruth:
    """
    Search for the limit of a queue many times.

    Args:
        queue: The queue.
        probe_s: How long a probe takes, in seconds.
        searches: How many searches.
        probes: How many probes at each rate of `GRID` show which part of them passes.
        precision: As of `poolrace limit`.
        most_probes: As of `poolrace limit`.
        seed: Of everything that is drawn.
    """
    rng = np.random.default_rng(seed)
    truth = true_limit_per_s(queue)
    parts = np.array([probes_pass(queue, truth * share, probe_s, probes, rng).mean() for share in GRID])
    found = [_search(truth, parts, rng, precision, most_probes) for _ in range(searches)]
    fits = [each.fit for each in found if each.fit]
    ratios = np.array([fit.limit_per_s / truth for fit in fits])
    return LimitTruth(
        queue=queue,
        probe_s=probe_s,
        truth_per_s=truth,
        passed_at_truth=float(probes_pass(queue, truth, probe_s, AT_TRUTH, rng).mean()),
        searches=searches,
        held=sum(fit.low_per_s <= truth <= fit.high_per_s for fit in fits),
        above=sum(fit.low_per_s > truth for fit in fits),
        ratio=float(np.median(ratios)),
        error=float(np.sqrt(np.mean(np.log(ratios) ** 2))),
        width=float(np.median([fit.width for fit in fits])),
        probes=float(np.mean([len(each.probes) for each in found])),
    )


def _search(truth: float, parts: Floats, rng: np.random.Generator, precision: float, most_probes: int) -> Search:
    search = Search(rng.uniform(*FIRST_SHARES) * truth, precision=precision, most_probes=most_probes)
    while not search.over:
        rate = search.next_per_s()
        search.tell(rate, passed=bool(rng.random() < np.interp(rate / truth, GRID, parts, left=1.0, right=0.0)))
    return search


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSearch:
    """
    What a search found on real nodes whose jobs sleep.

    Attributes:
        ideal_per_s: What their slots could do without any delay, in jobs per second.
        lane: The limit that was found.
        others_cores: Cores that other programs used meanwhile; None if unknown.
    """

    ideal_per_s: float
    lane: LimitLane
    others_cores: float | None


def search_real_nodes(*, probe_s: float = 10.0, seed: int = 1) -> RealSearch:
    """Search on a node of threads whose jobs sleep for a known time and come in even steps."""
    with tempfile.TemporaryDirectory() as folder:
        settings = LimitSettings(
            lanes=parse_lanes(("threads",), concurrency=SLOTS, prefetch=4, acks="early", least=1),
            workloads=("sleep",),
            mix={"sleep": 1.0},
            job_s=SLEEP_S,
            arrivals="constant",
            seed=seed,
            slo=(parse_threshold("p99(sojourn) < 500ms"), parse_threshold("lost == 0")),
            probe_s=probe_s,
            precision=0.05,
            out=Path(folder),
        )
        path, error = measure_run(settings, Silent())
        if error is not None:
            raise error
        run = read_run(path)
        (lane,) = limit_lanes(run, settle(run.sent, run.records, run.trials))
        return RealSearch(ideal_per_s=SLOTS / SLEEP_S, lane=lane, others_cores=run.manifest.others_cores)


@click.command()
@click.option("--searches", default=200, show_default=True, help="Searches of each queue.")
@click.option("--real", is_flag=True, help="Search on real nodes instead.")
def main(*, searches: int, real: bool) -> None:
    """Print how often the interval of a limit holds the truth."""
    if real:
        real_search = search_real_nodes()
        lane = real_search.lane
        click.echo(
            f"{lane.lane}: ideal {number(real_search.ideal_per_s)}/s, limit {number(lane.limit_per_s)}/s, "
            f"{number(lane.low_per_s)} to {number(lane.high_per_s)}/s, {len(lane.probes)} probes, "
            f"others used {number(real_search.others_cores)} cores"
        )
        return
    click.echo(f"{'queue':28} probe  truth/s  pass there  held  above  found  error  width  probes")
    for queue in QUEUES:
        for probe_s in (10.0, 30.0):
            found = searched(queue, probe_s, searches=searches)
            click.echo(
                f"{queue.name:28} {probe_s:3.0f} s  {found.truth_per_s:7.2f}  {found.passed_at_truth:10.0%}"
                f"  {found.held / searches:4.0%}  {found.above / searches:5.0%}  {found.ratio:5.3f}"
                f"  {found.error:5.1%}  {found.width:5.0%}  {found.probes:6.1f}"
            )


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.truth.limit")
