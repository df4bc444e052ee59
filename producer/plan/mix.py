"""Mixes: several workloads in one load, each with its share. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from producer.errors import UsageError
from producer.plan.units import one_of
from producer.plan.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


def deal_mix(weights: Sequence[float], jobs: int, seed: int, dtype: str = "uint8") -> NDArray[Any]:
    """
    Deal jobs to the parts of a mix: to each its exact share, in an order drawn at random.

    A share that is no whole number of jobs is rounded down or up, and up as often, over many seeds, as it lies above.
    So every share is exact to within one job, and a part that is due a third of a job is there in every third round:
    rounding the largest remainders up would leave it out of all of them. The same seed deals the same on every lane
    and in every process.

    Args:
        weights: Share of each part; they need not add up to 1.
        jobs: The number of jobs.
        seed: The seed of the order, and of what is rounded up.
        dtype: The type of the result; the default holds as many parts as a plan can have.
    """
    draw = np.random.default_rng(seed)
    # The shares laid end to end, in jobs; where whole jobs begin is drawn once for all of them.
    ends = np.cumsum(np.array(weights, dtype=np.float64))
    whole = np.minimum(np.floor(ends / ends[-1] * jobs + draw.random()), jobs).astype(np.int64)
    return draw.permutation(np.repeat(np.arange(len(ends), dtype=dtype), np.diff(whole, prepend=0)))


def parse_mix(text: str, name: str, allowed: Sequence[str] = WORKLOADS) -> dict[str, float]:
    """
    Parse shares of workloads from `cpu=1,io=9`.

    Args:
        text: The text.
        name: Name of the option, for the error.
        allowed: The workloads that exist.

    Raises:
        UsageError: If a workload is unknown, a share is no number, or all are zero.
    """
    mix = {}
    for part in text.split(","):
        workload, separator, share = part.strip().partition("=")
        if workload not in allowed:
            raise UsageError(f"{name} {text!r}: unknown workload {workload!r}. Allowed: {one_of(workload, allowed)}.")
        mix[workload] = parse_share(share if separator else "1", f"{name} {text!r}: share of {workload}")
    if not sum(mix.values()):
        raise UsageError(f"{name} {text!r}: all shares are zero. Give at least one more than that, e.g. cpu=1,io=9.")
    return mix


def parse_share(text: str, name: str) -> float:
    """Parse a share of a mix: a number, 0 or more."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < float("inf"):
        raise UsageError(f"{name} {text!r}: must be a number, 0 or more, e.g. cpu=1,io=9.")
    return share


def mix_text(mix: Mapping[str, float]) -> str:
    """Return a mix as text, e.g. `cpu=1,io=9`; a single workload as its name alone."""
    if len(mix) == 1:
        return next(iter(mix))
    return ",".join(f"{name}={share:g}" for name, share in mix.items())


MOST_NAMED = 4
"""The parts of a mix that its name lists; more are only counted, since the name stands in each row of a report."""


def mix_name(mix: Mapping[str, float]) -> str:
    """Return the name of a mix: its shares, or how many parts it has if those are many."""
    return mix_text(mix) if len(mix) <= MOST_NAMED else f"mix of {len(mix)} tasks"
