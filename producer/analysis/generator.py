"""The load generator: whether it was too late for its figures to be used. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producer.analysis.latency import Latency

LAG_FLOOR_S = 0.010
LAG_SHARE = 0.25

LEAST_SHARE = 0.98
"""A generator that sends less than this part of what was offered did not hold the rate, however short its lag beside a
sojourn of minutes."""


def lag_bound_s(median_sojourn_s: float) -> float:
    """Return the p99 publish lag above which a run is not valid: 10 ms, or a quarter of the median sojourn."""
    return max(LAG_FLOOR_S, LAG_SHARE * median_sojourn_s)


def was_late(latency: Latency) -> bool:
    """Return whether jobs were sent later than their sojourn allows; not if no job succeeded."""
    lag, sojourn = latency.publish_lag, latency.sojourn
    return lag is not None and sojourn is not None and lag.p99 > lag_bound_s(sojourn.p50)


def missed_the_rate(generator_per_s: float, offered_per_s: float) -> bool:
    """Return whether the generator sent clearly less than was offered."""
    return generator_per_s < LEAST_SHARE * offered_per_s
