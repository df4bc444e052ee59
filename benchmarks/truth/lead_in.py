"""
What trials that begin with an idle lane hide of its latency: `python -m benchmarks.truth.lead_in`.

A trial of a race is short, so the queue of a lane that queues has not grown to its steady length when the first jobs
are due. Jobs of the lead-in are left out of the figures; this prints what is left of the bias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.truth.queues import QUEUES, SETTLING_JOBS
from producer.analysis.percentiles import percentiles
from producer.plan.arrivals import seed_for

if TYPE_CHECKING:
    from benchmarks.truth.queues import Queue

RUNS = 2_000
TRIALS = 5
COUNTED_S = 0.6
LEADS_S = (0.0, 0.25, 0.5, 1.0, 2.0)
NAMES = ("p50", "p90", "p99")
MANY_JOBS = 150


def measured_s(queue: Queue, lead_in_s: float, runs: int = RUNS) -> list[float]:
    """
    Return the median, over many runs, of what pooled trials say of each percentile, in seconds.

    Args:
        queue: What the trials are of.
        lead_in_s: How much of each trial, which begins with an idle lane, is left out.
        runs: How many.
    """
    draw = np.random.default_rng(seed_for(1, queue.name, str(lead_in_s)))
    expected = queue.rate_per_s * (lead_in_s + COUNTED_S)
    due_s, sojourns_s = queue.trials(draw, runs * TRIALS, int(expected + 6 * expected**0.5) + 1)
    counted = (due_s >= lead_in_s) & (due_s < lead_in_s + COUNTED_S)
    pooled = np.where(counted, sojourns_s, np.nan).reshape(runs, -1)
    found = [each for values in pooled if (each := percentiles(values))]
    return [float(np.median([each.statistic(name) for each in found])) for name in NAMES]


def true_s(queue: Queue, runs: int = RUNS) -> list[float]:
    """Return each percentile of the steady state, in seconds."""
    _, sojourns_s = queue.steady(np.random.default_rng(seed_for(1, queue.name)), runs * TRIALS, MANY_JOBS)
    found = percentiles(sojourns_s.ravel())
    assert found is not None
    return [found.statistic(name) for name in NAMES]


def main() -> int:
    """Print the table: the median of what is measured over what is true; last, from trials that are steady."""
    print(f"{TRIALS} trials, {COUNTED_S:g} s of each counted, {RUNS:,} runs a row: median of measured / steady state")
    print(f"{'':8}{'lead-in':>15}" + "".join(f"{name:>8}" for name in NAMES))
    for queue in QUEUES:
        truths = true_s(queue)
        for lead_in_s in (*LEADS_S, SETTLING_JOBS / queue.rate_per_s):
            found = measured_s(queue, lead_in_s)
            cells = "".join(f"{value / truth:>8.2f}" for value, truth in zip(found, truths, strict=True))
            print(f"{queue.name:8}{lead_in_s:>13.3g} s{cells}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
