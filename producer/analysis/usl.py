"""
The Universal Scalability Law, fitted to throughput against nodes. Pure.

X(N) = g N / (1 + a (N - 1) + b N (N - 1)): g is what one node would do alone, a is contention (which part of the work
one node at a time does), b is coherency (each has to agree with each other one, so that more of them can do less).
After Neil J. Gunther, Guerrilla Capacity Planning (Springer, 2007).

Turned over, it is the time from one job to the next: 1 / X = d / N + s + c (N - 1). Of one node's 1 / g = d + s, d is
divided among the nodes and s is not; c grows with each node. So a = s / (d + s), which is a part and at most 1, and
b = c / (d + s). What is looked for is three times that are not negative, and a time of exactly 0 can be found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from producer.analysis.stats import lack_of_fit, quantile_intervals, widened_residuals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_VALUES = 3
"""Node counts that a fit of three parameters needs."""

RESAMPLES = 400
"""Fits for an interval; more would not make its ends more certain than the trials do."""

UNLIKELY = 0.01
"""The p-value below which the law does not fit."""

STEPS, SETTLED = 40, 1e-9
"""The most steps of a fit, and the relative change of a parameter at which it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """
    A parameter with its 95 % interval.

    Attributes:
        value: That fits best.
        low: The lower end; None where the trials are too few to tell.
        high: The upper end; None with `low`, and of a peak where it lies beyond what was measured.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """
    The law of one lane.

    Attributes:
        one_node_per_s: Throughput of one node by the law, in jobs/s.
        contention: Which part of the work is done by one node at a time, from 0 to 1.
        coherency: What each pair of nodes costs both, as a part of a job's time on one node; 0 for nothing.
        largest: The most nodes that were measured; the law says nothing beyond.
        peak: Nodes with which throughput is highest, 1 or more; None unless the whole interval of coherency lies above
            0, they are fewer than the most measured, and the law fits. The upper end of its interval is None if it lies
            beyond the most measured.
        misfit: By which part the law is off a value's trials at worst, if it is off by more than they differ among
            themselves; None where it fits.
    """

    one_node_per_s: float
    contention: Estimate
    coherency: Estimate
    largest: int
    peak: Estimate | None
    misfit: float | None

    @property
    def has_a_peak(self) -> bool:
        """True if the trials show that enough nodes do less than fewer do, wherever that begins."""
        return bool(self.coherency.low) and self.misfit is None

    def per_s(self, nodes: float) -> float:
        """Return the throughput of a number of nodes, in jobs/s."""
        lost = self.contention.value * (nodes - 1) + self.coherency.value * nodes * (nodes - 1)
        return self.one_node_per_s * nodes / (1 + lost)


def fit(measured: Mapping[int, Sequence[float]], *, seed: int = 1, resamples: int = RESAMPLES) -> Law | None:
    """
    Fit the law to some trials.

    Args:
        measured: By number of nodes, what each trial gave in jobs/s, above 0.
        seed: Of the resampling.
        resamples: How often it is fitted again, for the intervals.

    Returns:
        None if there are fewer than `LEAST_VALUES` numbers of nodes, or they do not show what one node does.
    """
    known = {nodes: values for nodes, values in measured.items() if len(values)}
    if len(known) < LEAST_VALUES:
        return None
    nodes = np.concatenate([np.full(len(values), float(count)) for count, values in known.items()])
    per_s = np.concatenate([np.asarray(values, dtype=np.float64) for values in known.values()])
    times = _times(nodes, per_s)
    if not _gives_one_node_time(times):
        return None
    one_s, contention, coherency = _parameters(times)
    lows, highs = _intervals(nodes, per_s, times, np.random.default_rng(seed), resamples)
    known_coherency = _estimate(coherency, lows[1], highs[1])
    peak = _estimate(_peak(contention, coherency), lows[2], highs[2])
    misfit = _misfit(known, times)
    return Law(
        one_node_per_s=1 / one_s,
        contention=_estimate(contention, lows[0], highs[0]),
        coherency=known_coherency,
        largest=max(known),
        peak=_measured(peak, max(known)) if known_coherency.low and misfit is None else None,
        misfit=misfit,
    )


def _weights(nodes: Floats) -> Floats:
    """Return the weights of d, s and c for each trial, by its number of nodes."""
    return np.column_stack([1 / nodes, np.ones_like(nodes), nodes - 1])


def _times(nodes: Floats, per_s: Floats) -> Floats:
    """
    Fit the times d, s and c, none below 0, by least squares of logarithms: a trial is off by a part of its rate.

    Gauss and Newton's steps, each of them least squares that keep what is looked for from falling below 0.
    """
    from scipy.optimize import nnls  # half a second, which every other report need not wait for

    unit = float(np.exp(np.log(per_s).mean()))  # so that times are near 1, whatever the rates are
    weights, rates = _weights(nodes), per_s / unit
    found = nnls(weights * rates[:, None], np.ones_like(rates))[0]
    for _ in range(STEPS):
        before, between = found, weights @ found
        found = nnls(weights / between[:, None], 1 - np.log(rates * between))[0]
        if np.abs(found - before).max() <= SETTLED * found.max():
            break
    times: Floats = found / unit
    return times


def _misfit(known: Mapping[int, Sequence[float]], times: Floats) -> float | None:
    """Return by which part the law is off at worst, if chance would seldom have it so far off; else None."""
    logs = [np.log(values) for values in known.values()]
    law = -np.log(_weights(np.array(list(known), dtype=np.float64)) @ times)
    if lack_of_fit(logs, law.tolist(), len(times)) > UNLIKELY:
        return None
    return max(abs(math.expm1(value - each.mean())) for each, value in zip(logs, law, strict=True))


def _gives_one_node_time(times: Floats) -> bool:
    """Check whether one node takes any time for a job; a fit without a trial on one node may give none."""
    return bool(times[:2].sum() > SETTLED * times[2])


def _parameters(times: Floats) -> tuple[float, float, float]:
    """Return seconds from job to job of one node, contention and coherency."""
    one_s = float(times[0] + times[1])
    return one_s, float(times[1]) / one_s, float(times[2]) / one_s


def _intervals(
    nodes: Floats, per_s: Floats, times: Floats, rng: np.random.Generator, resamples: int
) -> tuple[Sequence[float | None], Sequence[float | None]]:
    """
    Return lower and upper ends for contention, coherency and the peak.

    Residuals are dealt out anew, and it is fitted again. There are no intervals without more trials than parameters.
    """
    unknown = (None, None, None)
    trials = len(per_s)
    if trials == len(times):
        return unknown, unknown
    law = 1 / (_weights(nodes) @ times)
    off = widened_residuals(np.log(per_s / law), len(times))
    dealt = (law * np.exp(rng.choice(off, trials)) for _ in range(resamples))
    fits = [found for found in (_times(nodes, each) for each in dealt) if _gives_one_node_time(found)]
    if not fits:
        return unknown, unknown
    found = [_parameters(each)[1:] for each in fits]
    return quantile_intervals(np.array([(*each, _peak(*each)) for each in found]))


def _estimate(value: float, low: float | None, high: float | None) -> Estimate:
    if low is None or high is None:
        return Estimate(value=value, low=None, high=None)
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _peak(contention: float, coherency: float) -> float:
    """Return the nodes with which throughput is highest; infinite if it never falls."""
    return max(1.0, math.sqrt((1 - contention) / coherency)) if coherency else math.inf


def _measured(peak: Estimate, largest: int) -> Estimate | None:
    """Return what of a peak lies within the nodes that were measured; None if the peak itself does not."""
    if peak.value >= largest:
        return None
    return replace(peak, high=None if peak.high is None or peak.high >= largest else peak.high)
