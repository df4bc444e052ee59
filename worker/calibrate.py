"""
Sizes jobs: the amount of work with which a job takes a given time on this machine.

Runs once per race, alone on an idle machine; then every lane gets the same amounts.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from worker.workload import Sizing, Workload
from worker.workloads import WORKLOADS

Clock = Callable[[], float]
"""A function that returns the seconds since a fixed instant."""

Work = Callable[[int], object]
"""A function that does a number of units of work."""

PROBE_S = 0.004
"""The shortest run that gives a rate: far longer than a clock's step, mostly shorter than a scheduler's slice."""

PROBES = 40
"""The number of probes. They take some tenths of a second, so that one falls between other programs' bursts of work."""

WORK_SHARE = {Sizing.WORK: 1.0, Sizing.WAIT: 0.0}
"""The part of the target that is work; for a mix of both, the workload or the user sets it."""

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
        target_s: Duration that a job should have, in seconds; None if the amount is fixed and the duration unknown.
        measured_s: Duration that it has on this machine, in seconds; None if nothing had to be measured.
    """

    amount: tuple[int, ...]
    target_s: float | None
    measured_s: float | None


def size_all(workloads: Iterable[Workload], clock: Clock) -> dict[str, Sized]:
    """Size the jobs of some workloads, by name."""
    chosen = {workload.name: workload for workload in workloads}
    rates_per_s = measure_rates({each.work for each in chosen.values() if each.work is not None}, clock)
    return {name: size(workload, rates_per_s, clock) for name, workload in chosen.items()}


def size(workload: Workload, rates_per_s: Mapping[Work, float], clock: Clock) -> Sized:
    """Size a workload's jobs to take its target, given the rate of its work."""
    if workload.sizing is Sizing.FIXED or workload.target_s is None:
        return Sized(amount=workload.fixed, target_s=workload.target_s, measured_s=None)
    work_share = WORK_SHARE.get(workload.sizing, workload.cpu_share)
    wait_s = workload.target_s * (1 - work_share)
    wait_us = round(wait_s * 1e6)
    if workload.sizing is Sizing.WAIT or workload.work is None:
        return Sized(amount=(wait_us,), target_s=workload.target_s, measured_s=None)
    units, measured_s = fit(workload.work, rates_per_s[workload.work], workload.target_s * work_share, clock)
    amount = (units,) if workload.sizing is Sizing.WORK else (wait_us, units)
    return Sized(amount=amount, target_s=workload.target_s, measured_s=wait_s + measured_s)


def fit(work: Work, rate_per_s: float, target_s: float, clock: Clock) -> tuple[int, float]:
    """
    Return the units of work that take a target at a rate, and the seconds that they took in a check.

    A long target is checked on a part of it. A check slower than the target is returned as it is. A faster check has
    seen the machine's true rate, which the probes missed, so the units are corrected.
    """
    if target_s == 0:
        return 0, 0.0
    checked_units = units_of(rate_per_s, min(target_s, CHECK_S))
    checked_per_s = checked_units / min(duration_s(work, checked_units, clock) for _ in range(CHECKS))
    units = units_of(max(rate_per_s, checked_per_s), target_s)
    return units, units / checked_per_s


def units_of(rate_per_s: float, target_s: float) -> int:
    """Return the whole number of units nearest to a target, at least 1."""
    return max(1, round(rate_per_s * target_s))


def measure_rates(works: Collection[Work], clock: Clock) -> dict[Work, float]:
    """
    Measure the units a second of each work, from the shortest of its probes: other programs can only lengthen one.

    The works take turns, so that the probes of each are spread over the whole time.
    """
    units = {work: probe_units(work, clock) for work in works}
    shortest_s = dict.fromkeys(works, math.inf)
    for _ in range(PROBES):
        for work in works:
            shortest_s[work] = min(shortest_s[work], duration_s(work, units[work], clock))
    return {work: units[work] / shortest_s[work] for work in works}


def probe_units(work: Work, clock: Clock) -> int:
    """Return units of work that are enough for a probe."""
    units = 1
    while duration_s(work, units, clock) < PROBE_S:
        units *= 2
    return units


def duration_s(work: Work, units: int, clock: Clock) -> float:
    """Measure the duration of some units of work, in seconds."""
    began_at = clock()
    work(units)
    return clock() - began_at


def wanted(workload: Workload, target_s: float | None, cpu_share: float | None) -> Workload:
    """Apply the user's target and CPU share to a workload, each if it has one."""
    if target_s is not None and workload.sizing is not Sizing.FIXED:
        workload = replace(workload, target_s=target_s)
    if cpu_share is not None and workload.sizing is Sizing.WAIT_AND_WORK:
        workload = replace(workload, cpu_share=cpu_share)
    return workload


def number_within(low: float, high: float) -> Callable[[str], float]:
    """Return a reader of command-line numbers from `low` to `high`."""

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
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.calibrate",
        description="Prints as JSON the amount of work with which each job takes a given time on this machine. "
        "Run it alone: other programs that run at the same time make the jobs smaller.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workloads", nargs="+", choices=list(WORKLOADS), metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument(
        "--target",
        type=number_within(0.0001, TARGET_LIMIT_S),
        metavar="SECONDS",
        help="duration of a job (default: "
        + ", ".join(f"{name} {each.target_s:g}" for name, each in WORKLOADS.items() if each.target_s)
        + "); the size of "
        + " and ".join(name for name, each in WORKLOADS.items() if each.sizing is Sizing.FIXED)
        + " is fixed",
    )
    parser.add_argument(
        "--cpu-share",
        type=number_within(0.0, 1.0),
        metavar="PART",
        help=f"part of a mixed job that computes; the rest waits (default: {WORKLOADS['mixed'].cpu_share:g})",
    )
    return parser


def main(arguments: Sequence[str] | None = None, clock: Clock = time.perf_counter) -> None:
    """Print a JSON object: the amount, target and measured duration of each workload that is named."""
    given = build_parser().parse_args(arguments)
    workloads = [wanted(WORKLOADS[name], given.target, given.cpu_share) for name in given.workloads]
    sizes = {name: asdict(sized) for name, sized in size_all(workloads, clock).items()}
    sys.stdout.write(json.dumps(sizes) + "\n")


if __name__ == "__main__":
    main()
