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


def sample_mix(weights: Sequence[float], jobs: int, seed: int, dtype: str = "uint8") -> NDArray[Any]:
    """
    Draw the part of a mix that each of some jobs is: at random, but the same on every lane and in every process.

    Args:
        weights: Share of each part; they need not add up to 1.
        jobs: The number of jobs.
        seed: The seed of the draw.
        dtype: The type of the result; the default holds as many parts as a plan can have.
    """
    shares = np.array(weights, dtype=np.float64)
    drawn = np.random.default_rng(seed).choice(len(shares), size=jobs, p=shares / shares.sum())
    return drawn.astype(dtype)


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
        raise UsageError(f"{name}: {text!r} must be a number, 0 or more, e.g. cpu=1,io=9.")
    return share


def mix_text(mix: Mapping[str, float]) -> str:
    """Return a mix as text, e.g. `cpu=1,io=9`; a single workload as its name alone."""
    if len(mix) == 1:
        return next(iter(mix))
    return ",".join(f"{name}={share:g}" for name, share in mix.items())
