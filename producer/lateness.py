"""When the generator itself was too late for its figures to be used. Pure."""

LAG_FLOOR_S = 0.010
LAG_SHARE = 0.25


def lag_bound_s(median_sojourn_s: float) -> float:
    """The publish lag, in seconds at p99, above which a run is not valid: 10 ms, or a quarter of the median sojourn."""
    return max(LAG_FLOOR_S, LAG_SHARE * median_sojourn_s)
