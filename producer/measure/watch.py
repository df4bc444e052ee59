"""Follows a trial at a held rate, once a second: shows the lane, and knows when thresholds fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from producer.analysis.early_stop import RunningFigures
from producer.measure.snapshot import RateMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from producer.measure.progress import Progress
    from producer.measure.trial_spec import TrialSnapshot
    from producer.plan.lanes import Lane
    from producer.plan.thresholds import Threshold


def every_job(due_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Count every job, whenever it is due."""
    return np.full(len(due_s), fill_value=True)


class Watch:
    """
    A watcher of one trial.

    Attributes:
        lane: The lane under load.
        figures: The figures so far that thresholds ask for, of the snapshots that were added to them.
    """

    def __init__(
        self,
        lane: Lane,
        thresholds: Sequence[Threshold],
        planned_s: float,
        progress: Progress,
        counts: Callable[[NDArray[np.float64]], NDArray[np.bool_]] = every_job,
    ) -> None:
        self.lane = lane
        self.figures = RunningFigures(thresholds, slots=lane.slots, counts=counts)
        self._planned_s = planned_s
        self._progress = progress
        self._meter = RateMeter(lane)

    def show(self, snapshot: TrialSnapshot, *, paused: bool = False) -> None:
        """Report the lane's rates since the last snapshot."""
        rates = self._meter.between(snapshot, self._planned_s, paused=paused)
        self._progress.lane(rates, snapshot.ended, snapshot.of)
