"""
The question of a fleet: the rate that it is to hold, and what must be kept. Pure.

A *fleet plan* answers it with nodes, slots and brokers. (The plan of a trial, `producer.plan.arrivals.Plan`, is when
its jobs are due.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from producer.errors import UsageError
from producer.plan.thresholds import AT_MOST, MEMORY, STATISTICS
from producer.plan.units import one_of, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.plan.thresholds import Threshold

SIMULATED_STAGES = ("sojourn", "sojourn_from_sent", "queue_wait", "service")
"""The stages of which a simulation knows anything; what sends the jobs is not part of it."""

HIGHEST_PER_S = 1e7
MOST_SLOTS = 1024
_RANGE = re.compile(r"(?P<low>\d+)\.\.(?P<high>\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetQuestion:
    """
    What a fleet is to hold.

    Attributes:
        rate_per_s: The arrival rate, in jobs per second.
        slo: What must be kept at this rate.
        workload: What the jobs do; empty for the only workload of the runs.
        lanes: Lanes or pools to answer for; empty for all.
        slots: Slots of a node to try; empty for as many as were measured.
        arrivals: `poisson` or `constant`.
        node_cores: Cores of a node; None for those of the machine that was measured.
        rtt_s: The round trip between nodes and broker; None for that of the runs.
        seed: Of all draws.
    """

    rate_per_s: float
    slo: tuple[Threshold, ...]
    workload: str = ""
    lanes: tuple[str, ...] = ()
    slots: tuple[int, ...] = ()
    arrivals: str = "poisson"
    node_cores: float | None = None
    rtt_s: float | None = None
    seed: int = 1


def check_slo(slo: Sequence[Threshold], option: str = "--slo") -> None:
    """
    Check that a simulation can tell whether an SLO is kept.

    Raises:
        UsageError: If it bounds no time, or is about something that is not simulated.
    """
    for each in slo:
        if each.name == MEMORY:
            continue
        if each.name not in STATISTICS:
            raise UsageError(
                f"{option} {each.text!r}: a simulation loses no job. Name times, e.g. 'p99(sojourn) < 1s', or "
                f"memory, e.g. '{MEMORY} < 50MiB'; poolrace limit measures the rest."
            )
        if each.of not in SIMULATED_STAGES:
            raise UsageError(
                f"{option} {each.text!r}: {each.of} is not simulated. Allowed in the brackets: "
                f"{one_of(each.of, SIMULATED_STAGES)}."
            )
    if not any(each.name in STATISTICS and each.operator in AT_MOST for each in slo):
        raise UsageError(f"{option}: name at least one time that must not be exceeded, e.g. 'p99(sojourn) < 1s'.")


def parse_slots(text: str, option: str) -> tuple[int, ...]:
    """
    Return the slots of a node that a list or range names: `8`, `4,8,16`, or `4..32`, which doubles from 4 to 32.

    Raises:
        UsageError: If it is neither, or is out of bounds.
    """
    found = _RANGE.fullmatch(text.strip())
    if not found:
        return tuple(sorted({whole_number(part.strip(), option, 1, MOST_SLOTS) for part in text.split(",")}))
    low, high = (whole_number(found[end], option, 1, MOST_SLOTS) for end in ("low", "high"))
    if low > high:
        raise UsageError(f"{option} {text!r}: the range ends below its beginning. Write {high}..{low}.")
    doubled = [low]
    while doubled[-1] * 2 < high:
        doubled.append(doubled[-1] * 2)
    return tuple(sorted({*doubled, high}))
