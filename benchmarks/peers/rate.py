"""How many jobs a second were done, from when each was. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SKIPPED = 0.1
"""The part of the jobs at each end that is not counted: workers begin one by one, and idle at last."""


def jobs_per_s(done_s: Sequence[float]) -> float:
    """
    Return the jobs a second of the middle of a run.

    Args:
        done_s: When each job was done, in seconds, in any order.

    Raises:
        ValueError: If there are fewer than ten, which have no middle.
    """
    if len(done_s) < 10:
        raise ValueError(f"{len(done_s)} jobs were done, too few for a rate")
    ordered = sorted(done_s)
    first, last = round(SKIPPED * len(ordered)), round((1 - SKIPPED) * len(ordered)) - 1
    return (last - first) / (ordered[last] - ordered[first])
