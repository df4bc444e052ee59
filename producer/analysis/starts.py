"""Starts: whether lanes compare otherwise on one start of their nodes than on another. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import fdtrc

from producer.analysis.stats import holm
from producer.analysis.verdict_words import times_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from producer.analysis.pairs import PairedValues

UNLIKELY = 0.01
"""Starts that differ by chance as rarely as this, over all comparisons of a run, are worth a warning."""

AGREE = 1e-20
"""Squares of logarithms of ratios that sum up to less are the rounding of equal ones."""


def start_warnings(comparisons: Sequence[PairedValues]) -> Iterator[str]:
    """Yield where the ratio of two lanes depends on the start: more rounds of the same start would not show it."""
    found = [(each, _by_start(each)) for each in comparisons]
    adjusted = holm([_p_value(list(logs.values())) for _, logs in found])
    for (each, logs), p in zip(found, adjusted, strict=True):
        if p < UNLIKELY:
            told = " and ".join(
                f"{times_text(math.exp(float(values.mean())))} on start {start}" for start, values in logs.items()
            )
            yield (
                f"{each.workload}, {each.measure}: {each.a} / {each.b} was {told} of the nodes: a start makes more "
                "difference than its rounds show. Take the race on, which starts them again."
            )


def _by_start(comparison: PairedValues) -> Mapping[int, NDArray[np.float64]]:
    logs: dict[int, list[float]] = {}
    for ratio, start in zip(comparison.ratios, comparison.starts or [1] * len(comparison.ratios), strict=True):
        if ratio:
            logs.setdefault(start, []).append(math.log(ratio))
    return {start: np.array(values) for start, values in sorted(logs.items())}


def _p_value(groups: Sequence[NDArray[np.float64]]) -> float:
    """Return how often starts would differ so by chance: the F-test of means with a common spread."""
    pairs, starts = sum(map(len, groups)), len(groups)
    if starts < 2 or pairs <= starts:
        return 1.0
    mean = float(np.concatenate(groups).mean())
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    between = sum(len(group) * (float(group.mean()) - mean) ** 2 for group in groups)
    if within <= AGREE:
        return float(between <= AGREE)
    return float(fdtrc(starts - 1, pairs - starts, between / (starts - 1) / (within / (pairs - starts))))
