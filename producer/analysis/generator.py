"""When the generator itself was too late for its figures to be used. Pure."""

LAG_FLOOR_S = 0.010
LAG_SHARE = 0.25

LEAST_SHARE = 0.98
"""A generator that sends less than this part of what was offered did not hold the rate, however short its lag beside a
sojourn of minutes."""


def lag_bound_s(median_sojourn_s: float) -> float:
    """The publish lag, in seconds at p99, above which a run is not valid: 10 ms, or a quarter of the median sojourn."""
    return max(LAG_FLOOR_S, LAG_SHARE * median_sojourn_s)


def missed_the_rate(*, offered_per_s: float, generator_per_s: float) -> bool:
    """Whether the generator sent clearly less than it was to, in jobs per second."""
    return generator_per_s < LEAST_SHARE * offered_per_s
