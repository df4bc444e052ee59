"""A workload of a run: each lane's figures, the lanes against each other, and the lane to use. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from producer.analysis.percentiles import percentiles
from producer.analysis.recommendation import Recommendation
from producer.analysis.results import LaneResult, PingTimes
from producer.analysis.verdict import Verdict
from producer.rundir.manifest import Size

if TYPE_CHECKING:
    from producer.analysis.price import Price
    from producer.rundir.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSummary:
    """
    The findings of a run with one workload.

    Attributes:
        workload: Its name.
        size: The size of its jobs; None if they were not sized.
        lanes: Its figures on each lane, in the order of their first trial.
        verdicts: The lanes against each other.
        recommendation: The lane to use.
    """

    workload: str
    size: Size | None
    lanes: tuple[LaneResult, ...]
    verdicts: tuple[Verdict, ...]
    recommendation: Recommendation

    def result_on(self, lane: str) -> LaneResult | None:
        """Return its figures on a lane, by the lane's key; None if it did not run there."""
        return next((result for result in self.lanes if result.lane == lane), None)


def with_ping_and_price(run: Run, result: LaneResult, price: Price | None) -> LaneResult:
    """Return a lane's figures with what its pings and the price of a core add."""
    return replace(
        result,
        ping=_ping_times(run, result.workload, result.lane),
        money_per_million_jobs=price.of_jobs(result.busiest_cpu_s_per_job) if price else None,
    )


def _ping_times(run: Run, workload: str, lane: str) -> PingTimes | None:
    trials = {t.trial for t in run.trials if t.workload == workload and t.lane == lane}
    pings = [ping["rtt_s"] for ping in run.pings if ping["trial"] in trials]
    if not pings:
        return None
    answered = percentiles(np.array([rtt_s for rtt_s in pings if rtt_s is not None], dtype=np.float64))
    return PingTimes(
        sent=len(pings),
        answered=answered.n if answered else 0,
        p50_s=answered.p50 if answered else None,
        max_s=answered.max if answered else None,
    )
