"""Mixes: several workloads in one load, each with its share. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from producer.errors import UsageError
from producer.lanes import one_of
from producer.settings import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """
    Which job is which, by chance but the same on every lane and in every process.

    Attributes:
        calls: Task name and positional arguments of each part.
        weights: Its share; they need not add up to anything.
        seed: Of the draw.
    """

    calls: Sequence[tuple[str, tuple[Any, ...]]]
    weights: Sequence[float]
    seed: int

    def picks(self, jobs: int) -> NDArray[np.intp]:
        """The part that each job is of, by sequence number."""
        weights = np.array(self.weights, dtype=np.float64)
        return np.random.default_rng(self.seed).choice(len(weights), size=jobs, p=weights / weights.sum())


def parse_mix(text: str, name: str) -> dict[str, float]:
    """
    Shares of workloads from `cpu=1,io=9`.

    Raises:
        UsageError: If a workload is unknown, a share is no number, or all are zero.
    """
    mix = {}
    for part in text.split(","):
        workload, separator, share = part.strip().partition("=")
        if workload not in WORKLOADS:
            raise UsageError(f"{name} {text!r}: unknown workload {workload!r}. Allowed: {one_of(workload, WORKLOADS)}.")
        mix[workload] = fraction_of(share if separator else "1", f"{name} {text!r}: share of {workload}")
    if not sum(mix.values()):
        raise UsageError(f"{name} {text!r}: all shares are zero. Give at least one more than that, e.g. cpu=1,io=9.")
    return mix


def fraction_of(text: str, name: str) -> float:
    """A share of a mix: a number from 0."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < float("inf"):
        raise UsageError(f"{name}: {text!r} must be a number, 0 or more, e.g. cpu=1,io=9.")
    return share


def mix_text(mix: Mapping[str, float]) -> str:
    """A mix as it is written, e.g. `cpu=1,io=9`; a single workload by its name alone."""
    if len(mix) == 1:
        return next(iter(mix))
    return ",".join(f"{name}={share:g}" for name, share in mix.items())
