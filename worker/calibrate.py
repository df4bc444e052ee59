"""
How much work a job must be given so that it takes a wanted time on this machine.

Run once per race, alone on an idle machine; then every lane gets the same amounts.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from worker.workloads import WORKLOADS, Sizing, Workload

Clock = Callable[[], float]
"""Seconds, from any instant."""

Work = Callable[[int], object]
"""Does a number of units of work."""

PROBE_S = 0.004
"""A run at least this long tells the rate: far longer than a clock's step, mostly shorter than a scheduler's slice."""

PROBES = 40
"""Together some tenths of a second: another program's work comes in bursts, and one probe must lie between them."""

CHECK_S = 0.020
CHECKS = 3
TARGET_LIMIT_S = 60.0

EXAMPLES = """\
examples:
  python -m worker.calibrate cpu native
  python -m worker.calibrate cpu io mixed --target 0.02
  python -m worker.calibrate mixed --cpu-share 0.5
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """
    The size of every job of a workload.

    Attributes:
        amount: The arguments to send with a job.
        target_s: How long a job should take, in seconds; None where the amount is fixed and nobody can tell.
        measured_s: How long it takes on this machine, in seconds; None where nothing had to be measured.
    """

    amount: tuple[int, ...]
    target_s: float | None
    measured_s: float | None


def size_all(workloads: Iterable[Workload], clock: Clock) -> dict[str, Sized]:
    """Work out, by name, what the jobs of some workloads must be given to take their targets."""
    chosen = {workload.name: workload for workload in workloads}
    rates_per_s = measure_rates({each.work for each in chosen.values() if each.work is not None}, clock)
    return {name: size(workload, rates_per_s, clock) for name, workload in chosen.items()}


def size(workload: Workload, rates_per_s: Mapping[Work, float], clock: Clock) -> Sized:
    """Work out what a job must be given to take its workload's target, from the rate of its work."""
    if workload.sizing is Sizing.FIXED or workload.target_s is None:
        return Sized(amount=workload.fixed, target_s=workload.target_s, measured_s=None)
    wait_s = workload.target_s * (1 - workload.cpu_share)
    wait_us = round(wait_s * 1e6)
    if workload.sizing is Sizing.WAIT or workload.work is None:
        return Sized(amount=(wait_us,), target_s=workload.target_s, measured_s=None)
    work_s = workload.target_s * workload.cpu_share
    units, measured_s = fit(workload.work, rates_per_s[workload.work], work_s, clock)
    amount = (units,) if workload.sizing is Sizing.WORK else (wait_us, units)
    return Sized(amount=amount, target_s=workload.target_s, measured_s=wait_s + measured_s)


def fit(work: Work, rate_per_s: float, target_s: float, clock: Clock) -> tuple[int, float]:
    """
    The units of work that take a target at a rate, and the seconds they took when checked.

    A long target is checked on a part of it. A check slower than the target is told as it is. A check faster than it
    has seen the machine's true rate, which the probes missed, so the units are corrected.
    """
    if target_s == 0:
        return 0, 0.0
    checked_units = units_of(rate_per_s, min(target_s, CHECK_S))
    checked_per_s = checked_units / min(duration_s(work, checked_units, clock) for _ in range(CHECKS))
    units = units_of(max(rate_per_s, checked_per_s), target_s)
    return units, units / checked_per_s


def units_of(rate_per_s: float, target_s: float) -> int:
    """The whole number of units nearest to a target, but some."""
    return max(1, round(rate_per_s * target_s))


def measure_rates(works: Collection[Work], clock: Clock) -> dict[Work, float]:
    """
    Units a second of each work, from the shortest of its probes: whatever else the machine does can only add to one.

    The works take turns, so that the probes of each are spread over as long a time as there is.
    """
    units = {work: probe_units(work, clock) for work in works}
    shortest_s = dict.fromkeys(works, math.inf)
    for _ in range(PROBES):
        for work in works:
            shortest_s[work] = min(shortest_s[work], duration_s(work, units[work], clock))
    return {work: units[work] / shortest_s[work] for work in works}


def probe_units(work: Work, clock: Clock) -> int:
    """Units of work that are enough for a probe."""
    units = 1
    while duration_s(work, units, clock) < PROBE_S:
        units *= 2
    return units


def duration_s(work: Work, units: int, clock: Clock) -> float:
    """How long some units of work take, in seconds."""
    began_at = clock()
    work(units)
    return clock() - began_at


def wanted(workload: Workload, target_s: float | None, cpu_share: float | None) -> Workload:
    """The workload with the user's wishes, as far as they apply: a fixed one has no target, only mixed has a share."""
    if target_s is not None and workload.sizing is not Sizing.FIXED:
        workload = replace(workload, target_s=target_s)
    if cpu_share is not None and workload.sizing is Sizing.WAIT_AND_WORK:
        workload = replace(workload, cpu_share=cpu_share)
    return workload


def number_within(low: float, high: float) -> Callable[[str], float]:
    """A reader of numbers of a command line that must lie above or at `low`, and at most at `high`."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text!r}: must be a number from {low:g} to {high:g}")
        return number

    return read


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.calibrate",
        description="Prints as JSON how much work each job must be given to take a wanted time on this machine. "
        "Run it alone: whatever else runs makes the jobs smaller.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workloads", nargs="+", choices=list(WORKLOADS), metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument(
        "--target",
        type=number_within(0.0001, TARGET_LIMIT_S),
        metavar="SECONDS",
        help="how long a job shall take; without it, "
        + ", ".join(f"{name} {each.target_s:g}" for name, each in WORKLOADS.items() if each.target_s)
        + ". disk and noop are the same size whatever is given",
    )
    parser.add_argument(
        "--cpu-share",
        type=number_within(0.0, 1.0),
        metavar="PART",
        help=f"part of a mixed job that computes; the rest waits. Without it, {WORKLOADS['mixed'].cpu_share:g}",
    )
    return parser


def main(arguments: Sequence[str] | None = None, clock: Clock = time.perf_counter) -> None:
    """Print one JSON object: for each workload named, its amount, target and what was measured."""
    given = build_parser().parse_args(arguments)
    workloads = [wanted(WORKLOADS[name], given.target, given.cpu_share) for name in given.workloads]
    sizes = {name: asdict(sized) for name, sized in size_all(workloads, clock).items()}
    sys.stdout.write(json.dumps(sizes) + "\n")


if __name__ == "__main__":
    main()
