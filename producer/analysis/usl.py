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
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri, stdtrit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_VALUES = 3
"""Numbers of nodes without which three parameters are no law."""

RESAMPLES = 400
"""Fits for an interval; more of them would tell its ends no better than the trials do."""

OUTSIDE = 0.025
"""Which part of the fits lies beyond each end of an interval."""

STEPS, SETTLED = 40, 1e-9
"""Steps of a fit at most, and the change of a parameter, as a part, at which it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """
    A parameter with its 95 % interval.

    Attributes:
        value: That fits best.
        low: The lower end; None where the trials are too few to tell.
        high: The upper end; None with `low`.
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
        peak: Nodes with which throughput is highest, 1 or more, if they are fewer than the most measured; else None.
    """

    one_node_per_s: float
    contention: Estimate
    coherency: Estimate
    largest: int
    peak: float | None

    def per_s(self, nodes: float) -> float:
        """Throughput of so many nodes, in jobs/s."""
        lost = self.contention.value * (nodes - 1) + self.coherency.value * nodes * (nodes - 1)
        return self.one_node_per_s * nodes / (1 + lost)


def fit(measured: Mapping[int, Sequence[float]], *, seed: int = 1, resamples: int = RESAMPLES) -> Law | None:
    """
    The law of some trials.

    Args:
        measured: By number of nodes, what each trial gave in jobs/s, above 0.
        seed: Of the resampling.
        resamples: How often it is fitted again, for the intervals.

    Returns:
        None if there are fewer than `LEAST_VALUES` numbers of nodes, or what one does cannot be told from them.
    """
    known = {nodes: values for nodes, values in measured.items() if len(values)}
    if len(known) < LEAST_VALUES:
        return None
    nodes = np.concatenate([np.full(len(values), float(count)) for count, values in known.items()])
    per_s = np.concatenate([np.asarray(values, dtype=np.float64) for values in known.values()])
    times = _times(nodes, per_s)
    if not _tell_of_one(times):
        return None
    one_s, contention, coherency = _parameters(times)
    lows, highs = _intervals(nodes, per_s, times, np.random.default_rng(seed), resamples)
    return Law(
        one_node_per_s=1 / one_s,
        contention=_estimate(contention, lows[0], highs[0]),
        coherency=_estimate(coherency, lows[1], highs[1]),
        largest=max(known),
        peak=_peak(contention, coherency, max(known)),
    )


def _stretches(nodes: Floats) -> Floats:
    """What d, s and c count for with so many nodes; a row for each trial."""
    return np.column_stack([1 / nodes, np.ones_like(nodes), nodes - 1])


def _times(nodes: Floats, per_s: Floats) -> Floats:
    """
    The times d, s and c, none below 0, with the least squares of the logarithms: a trial is off by a part of its rate.

    Gauss and Newton's steps, each of them least squares that keep what is looked for from falling below 0.
    """
    from scipy.optimize import nnls  # half a second, which every other report need not wait for

    unit = float(np.exp(np.log(per_s).mean()))  # so that times are near 1, whatever the rates are
    stretches, rates = _stretches(nodes), per_s / unit
    found = nnls(stretches * rates[:, None], np.ones_like(rates))[0]
    for _ in range(STEPS):
        before, between = found, stretches @ found
        found = nnls(stretches / between[:, None], 1 - np.log(rates * between))[0]
        if np.abs(found - before).max() <= SETTLED * found.max():
            break
    times: Floats = found / unit
    return times


def _tell_of_one(times: Floats) -> bool:
    """Whether one node would take any time for a job; if 1 was not measured, what was may say that it takes none."""
    return bool(times[:2].sum() > SETTLED * times[2])


def _parameters(times: Floats) -> tuple[float, float, float]:
    """Seconds from job to job of one node, contention and coherency."""
    one_s = float(times[0] + times[1])
    return one_s, float(times[1]) / one_s, float(times[2]) / one_s


def _intervals(
    nodes: Floats, per_s: Floats, times: Floats, rng: np.random.Generator, resamples: int
) -> tuple[Sequence[float | None], Sequence[float | None]]:
    """
    Lower and upper ends for contention and coherency: what trials are off the law is dealt out anew, and fitted again.

    Three parameters have taken their part of what trials are off by, and few trials tell little of how much that is:
    Student's t makes up for both. Without a trial more than parameters nothing can be told.
    """
    trials, spare = len(per_s), len(per_s) - len(times)
    if not spare:
        return (None, None), (None, None)
    law = 1 / (_stretches(nodes) @ times)
    off = np.log(per_s / law) * math.sqrt(trials / spare) * stdtrit(spare, 1 - OUTSIDE) / ndtri(1 - OUTSIDE)
    dealt = (law * np.exp(rng.choice(off, trials)) for _ in range(resamples))
    fits = [found for found in (_times(nodes, each) for each in dealt) if _tell_of_one(found)]
    if not fits:
        return (None, None), (None, None)
    again = np.array([_parameters(found)[1:] for found in fits])
    low, high = np.quantile(again, [OUTSIDE, 1 - OUTSIDE], axis=0)
    return low.tolist(), high.tolist()


def _estimate(value: float, low: float | None, high: float | None) -> Estimate:
    if low is None or high is None:
        return Estimate(value=value, low=None, high=None)
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _peak(contention: float, coherency: float, largest: int) -> float | None:
    if not coherency:
        return None
    peak = max(1.0, math.sqrt((1 - contention) / coherency))
    return peak if peak < largest else None
