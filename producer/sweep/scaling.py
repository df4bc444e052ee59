"""
The Universal Scalability Law, fitted to throughput against nodes. Pure.

X(N) = g N / (1 + a (N - 1) + b N (N - 1)): g is what one node would do alone, a is contention (nodes wait for one
thing that they share), b is coherency (each has to agree with each other one, so that more of them can do less). After
Neil J. Gunther, Guerrilla Capacity Planning (Springer, 2007).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_VALUES = 3
"""Numbers of nodes without which three parameters are no law."""

RESAMPLES = 200
"""Few trials at each value make intervals too narrow: they are what the trials say, and no more."""

NONE_BELOW = 1e-4
"""Smaller parameters are taken for none: one node in ten thousand would not be noticed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A parameter with the interval that holds 95 % of its values over resampled trials."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """
    The law of one lane.

    Attributes:
        one_node_per_s: Throughput of one node by the law, in jobs/s.
        contention: What part of the work is done by one node at a time, 0 for none.
        coherency: What each pair of nodes costs both, 0 for none.
        largest: The most nodes that were measured; the law says nothing beyond.
        peak: Nodes with which throughput is highest, if they are fewer than the most measured; else None.
    """

    one_node_per_s: float
    contention: Estimate
    coherency: Estimate
    largest: int
    peak: float | None

    def per_s(self, nodes: float) -> float:
        """Throughput of so many nodes, in jobs/s."""
        parameters = np.array([math.log(self.one_node_per_s), self.contention.value, self.coherency.value])
        return float(np.exp(_log_per_s(parameters, np.array([float(nodes)])))[0])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Law:
        """Read what `to_dict` wrote."""
        estimates = {name: Estimate(**value[name]) for name in ("contention", "coherency")}
        return cls(**{**value, **estimates})


def fit(measured: Mapping[int, Sequence[float]], *, seed: int = 1, resamples: int = RESAMPLES) -> Law | None:
    """
    The law of some trials.

    Args:
        measured: By number of nodes, what each trial gave in jobs/s, above 0.
        seed: Of the resampling.
        resamples: How often it is fitted again to trials drawn with replacement, for the intervals.

    Returns:
        None if there are fewer than `LEAST_VALUES` numbers of nodes.
    """
    known = {nodes: np.asarray(values, dtype=np.float64) for nodes, values in measured.items() if len(values)}
    if len(known) < LEAST_VALUES:
        return None
    log_one, contention, coherency = _fitted(known)
    rng = np.random.default_rng(seed)
    again = np.array([
        _fitted({nodes: rng.choice(values, len(values)) for nodes, values in known.items()}) for _ in range(resamples)
    ])  # fmt: skip
    largest = max(known)
    return Law(
        one_node_per_s=math.exp(log_one),
        contention=_estimate(contention, again[:, 1]),
        coherency=_estimate(coherency, again[:, 2]),
        largest=largest,
        peak=_peak(contention, coherency, largest),
    )


def _fitted(measured: Mapping[int, Floats]) -> tuple[float, float, float]:
    """Logarithm of g, a and b with the least squares of logarithms: a trial is off by a part, not by so many jobs."""
    from scipy.optimize import least_squares  # half a second, which every other report need not wait for

    nodes = np.concatenate([np.full(len(values), float(count)) for count, values in measured.items()])
    logs = np.log(np.concatenate(list(measured.values())))
    start = [float(np.median(logs - np.log(nodes))), 0.01, 0.001]
    found = least_squares(
        lambda parameters: _log_per_s(parameters, nodes) - logs, start, bounds=([-np.inf, 0, 0], np.inf), x_scale="jac"
    )
    log_one, contention, coherency = (float(value) for value in found.x)
    return log_one, contention if contention > NONE_BELOW else 0.0, coherency if coherency > NONE_BELOW else 0.0


def _log_per_s(parameters: Floats, nodes: Floats) -> Floats:
    log_one, contention, coherency = parameters
    lost: Floats = 1 + contention * (nodes - 1) + coherency * nodes * (nodes - 1)
    log_per_s: Floats = log_one + np.log(nodes) - np.log(lost)
    return log_per_s


def _estimate(value: float, again: Floats) -> Estimate:
    low, high = (float(each) for each in np.quantile(again, [0.025, 0.975]))
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _peak(contention: float, coherency: float, largest: int) -> float | None:
    if not coherency or contention >= 1:
        return 1.0 if contention >= 1 and coherency else None
    peak = math.sqrt((1 - contention) / coherency)
    return peak if peak < largest else None
