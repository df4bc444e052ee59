"""
Real races whose truth is known by construction, on this machine.

- Known ratios: sleeping jobs on lanes of 4 and 5, 7 and 8, 20 and 21 threads. A slot sleeps whatever the others do, so
  capacity must be in the ratio of the slots.
- A/A: a lane against its twin. There is no winner to be named.

    python -m benchmarks.truth.real --races 7 --a-a 8        about half a minute a race; Ctrl-C keeps the count
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from producer.analysis.summary import summarise
from producer.measure.kinds import measure_run
from producer.plan.lanes import parse_lanes
from producer.plan.settings import RaceSettings
from producer.report.progress.display import Silent
from producer.rundir.reader import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.summary import Summary
    from producer.analysis.verdict import Verdict

RATIOS = ((4, 5), (7, 8), (20, 21))
"""Slots of two lanes of threads, whose capacities are in the same ratio on jobs that sleep."""

TWINS = ("threads:8", "prefork:4")
AT_MOST_S = 20.0

LEAST_INSIDE, WITHIN, MOST_WINNERS = 0.95, 0.01, 1 / 40
"""The promises: intervals that hold the ratio; how far it may be off; A/A races that name a winner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRatio:
    """
    A race whose ratio is known.

    Attributes:
        truth: The ratio of the slots.
        ratio: What the race found.
        low: The lower end of its interval.
        high: Its upper end.
    """

    truth: float
    ratio: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        """True if the interval holds the truth."""
        return self.low <= self.truth <= self.high

    @property
    def off(self) -> float:
        """By what part the ratio is off."""
        return self.ratio / self.truth - 1


def race(lanes: Sequence[str], workloads: tuple[str, ...], seed: int) -> Summary:
    """Run a race in a folder of its own, and return what it found."""
    with tempfile.TemporaryDirectory() as folder:
        settings = RaceSettings(
            lanes=parse_lanes(lanes, concurrency=8, prefetch=4, acks="early"),
            workloads=workloads,
            at_most_s=AT_MOST_S,
            trial_s=0.5,
            seed=seed,
            out=Path(folder),
        )
        path, error = measure_run(settings, Silent())
        if error is not None:
            raise error
        return summarise(read_run(path))


def capacity(summary: Summary) -> Iterator[Verdict]:
    """Yield the verdicts on capacity."""
    for workload in summary.workloads:
        yield from (verdict for verdict in workload.verdicts if verdict.measure == "capacity")


def known_ratios(races: int) -> Iterator[KnownRatio]:
    """Race each of `RATIOS` so many times."""
    for seed in range(races):
        for slots in RATIOS:
            (verdict,) = capacity(race([f"threads:{count}" for count in slots], ("sleep",), seed))
            if verdict.ratio and verdict.low and verdict.high:
                truth = slots[0] / slots[1]
                yield KnownRatio(truth=truth, ratio=verdict.ratio, low=verdict.low, high=verdict.high)


def twins(races: int) -> Iterator[list[str]]:
    """Race lanes against their twins so many times, and yield the winners that each race names."""
    for seed in range(races):
        summary = race([TWINS[seed % len(TWINS)]] * 2, ("cpu", "io"), seed)
        verdicts = [verdict for workload in summary.workloads for verdict in workload.verdicts]
        yield [f"{each.workload}, {each.measure}" for each in verdicts if each.winner]


def main() -> int:
    """Race, print a line a race and the count, and return 1 if a promise is broken."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.truth.real", description=__doc__)
    words.add_argument("--races", type=int, default=7, help="races of each known ratio")
    words.add_argument("--a-a", type=int, default=8, help="races of a lane against its twin")
    asked = words.parse_args()
    found: list[KnownRatio] = []
    won: list[list[str]] = []
    try:
        for each in known_ratios(asked.races):
            found.append(each)
            print(
                f"{each.truth:.3f}: {each.ratio:.4f} [{each.low:.4f}, {each.high:.4f}]"
                f"{'' if each.inside else ', outside'}",
                flush=True,
            )
        for winners in twins(asked.a_a):
            won.append(winners)
            print(f"A/A: {', '.join(winners) or 'no winner'}", flush=True)
    except KeyboardInterrupt:
        print("Interrupted; the count so far:")
    return _judged(found, won)


def _judged(found: Sequence[KnownRatio], won: Sequence[list[str]]) -> int:
    inside, near = sum(each.inside for each in found), sum(abs(each.off) <= WITHIN for each in found)
    named = sum(map(bool, won))
    print(f"Known ratios: {inside} of {len(found)} intervals hold the truth, {near} are off by at most 1 %.")
    print(f"A/A: {named} of {len(won)} races name a winner.")
    kept = inside >= LEAST_INSIDE * len(found) and near == len(found) and named <= max(1, MOST_WINNERS * len(won))
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
