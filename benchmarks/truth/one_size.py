"""
What a fixed number of jobs does to the latency of a race: `python -m benchmarks.truth.one_size`.

Both lanes of a round get the same jobs at the same times, and their ratio is that of their sojourn times, job by job.
How long a queue is depends on when jobs come, and above all on how many, so the ratio of two lanes whose queues differ
varies from round to round though nothing else does. This prints how much, with Poisson arrivals of which the number is
random, and of which it is the same in each round.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapreplace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.truth.queues import LOAD
from producer.plan.arrivals import poisson, poisson_of_one_size, seed_for
from producer.plan.settings import LEAST_LEAD_IN_S, RaceSettings, default_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from producer.plan.arrivals import Plan

    Floats = NDArray[np.float64]

ROUNDS = 2_000
TRIAL_S = default_of(RaceSettings, "trial_s")
LEAST_GAIN = 1.2
"""The ratio's distance from 1, over how much it varies, is so many times as large at least with one number of jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """
    Two lanes whose jobs take equally long each, first come first served.

    Attributes:
        name: Of the table.
        slots: Those that work at once, of either lane.
        service_s: What a job takes on either, in seconds.
    """

    name: str
    slots: tuple[int, int]
    service_s: tuple[float, float]

    @property
    def rate_per_s(self) -> float:
        """The rate that is held: a part of what the slower lane can do."""
        return LOAD * min(slots / service_s for slots, service_s in zip(self.slots, self.service_s, strict=True))


LANES = (
    Lanes(name="two cores against one", slots=(2, 1), service_s=(0.02, 0.02)),
    Lanes(name="one core, 10 % slower", slots=(1, 1), service_s=(0.02, 0.022)),
    Lanes(name="8 slots, 20 % slower", slots=(8, 8), service_s=(0.05, 0.06)),
)


def sojourns_s(due_s: Floats, slots: int, service_s: float) -> Floats:
    """Return how long jobs are there that are due at these times, each in the slot that is free first."""
    free_s, found = [0.0] * slots, np.empty(len(due_s))
    for place, at_s in enumerate(due_s.tolist()):
        ends_s = max(at_s, free_s[0]) + service_s
        heapreplace(free_s, ends_s)
        found[place] = ends_s - at_s
    return found


def log_ratios(lanes: Lanes, arrivals: Callable[[float, float, int], Plan], rounds: int = ROUNDS) -> Floats:
    """Return the log ratio of each of many rounds, of the jobs after the lead-in."""
    found = []
    for number in range(rounds):
        plan = arrivals(lanes.rate_per_s, LEAST_LEAD_IN_S + TRIAL_S, seed_for(1, lanes.name, number))
        counts = plan.due_s >= LEAST_LEAD_IN_S
        a_s, b_s = (
            sojourns_s(plan.due_s, slots, each_s)[counts]
            for slots, each_s in zip(lanes.slots, lanes.service_s, strict=True)
        )
        if len(a_s):
            found.append(float(np.log(a_s / b_s).mean()))
    return np.array(found)


def main() -> int:
    """Print the table; 1 if one number of jobs makes the ratio hardly clearer."""
    print(f"{ROUNDS:,} rounds a row, {TRIAL_S:g} s after {LEAST_LEAD_IN_S:g} s, at {LOAD:g} of the slower lane")
    print(f"{'':24}{'ratio':>8}{'varies by':>11}{'one size: ratio':>18}{'varies by':>11}")
    kept = True
    for lanes in LANES:
        random, same = (log_ratios(lanes, arrivals) for arrivals in (poisson, poisson_of_one_size))
        kept &= abs(same.mean()) / same.std() >= LEAST_GAIN * abs(random.mean()) / random.std()
        print(
            f"{lanes.name:24}{np.exp(random.mean()):8.3f}{100 * random.std():9.1f} %"
            f"{np.exp(same.mean()):18.3f}{100 * same.std():9.1f} %"
        )
    return int(not kept)


if __name__ == "__main__":
    raise SystemExit(main())
