"""What is known of a load while it runs, to end it when a threshold is broken or cannot be kept any more. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from poolrace.contract import Outcome
from producer.analysis.memory import memory_per_slot_bytes
from producer.analysis.percentiles import Percentiles, percentiles, values_beyond
from producer.plan.stages import STAGES
from producer.plan.thresholds import AT_MOST, MEMORY, STATISTICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from producer.plan.thresholds import Judgement, Threshold

SEEN = {"failed": Outcome.FAILED, "revoked": Outcome.REVOKED, "retried": Outcome.RETRIED}
"""Counts that only grow, so that they can be told before the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FiguresSoFar:
    """
    What thresholds are held against before the end; rates are not among it.

    Attributes:
        spreads: By stage, the percentiles of the jobs that have ended.
        ended: Jobs that met a fate, by its name.
        memory_per_slot_bytes: Memory of the lane's nodes by slot; None if unknown.
    """

    spreads: Mapping[str, Percentiles | None]
    ended: Mapping[str, int]
    memory_per_slot_bytes: float | None
    offered_per_s: float = 0.0

    def statistic(self, stage: str, name: str) -> float | None:
        """Return a statistic of a stage, in seconds; None if no job has the stage yet."""
        found = self.spreads[stage]
        return found.statistic(name) if found else None

    def throughput_per_s(self, of: str) -> float:
        """Refuse: a rate is known at the end."""
        raise NotImplementedError(f"rate({of}) is not known before the end")

    def jobs(self, fate: str) -> int:
        """Return how many jobs met a fate so far."""
        return self.ended[fate]


class RunningFigures:
    """
    Collects what thresholds ask of the jobs that have ended.

    It holds a number a job for each stretch that is asked for, and no records: a load of an hour needs as much memory
    as its plan.
    """

    def __init__(
        self,
        thresholds: Sequence[Threshold],
        *,
        slots: int,
        counts: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    ) -> None:
        self._thresholds = [threshold for threshold in thresholds if can_tell_early(threshold)]
        self._slots = slots
        self._counts = counts
        self._values = {t.of: np.full(0, np.nan) for t in self._thresholds if t.name in STATISTICS}
        self._ended = dict.fromkeys(SEEN, 0)
        self._samples: list[pl.DataFrame] = []

    def add(self, records: pl.DataFrame, samples: pl.DataFrame, began_at: float, jobs: int) -> None:
        """
        Take in what has come since the last time.

        Args:
            records: Of the trial, and maybe of others before it.
            samples: Of nodes; those of the lane count.
            began_at: When the trial began.
            jobs: How many it has.
        """
        # A node's last records of the warm-up come with the first of the trial; they were due before it began.
        ours = records.filter((pl.col("due_at") >= began_at) & (pl.col("seq") < jobs))
        ours = ours.filter(self._counts(ours["due_at"].to_numpy() - began_at))
        for name, outcome in SEEN.items():
            self._ended[name] += ours.filter(pl.col("outcome") == outcome.label).height
        done = ours.filter(pl.col("outcome") == Outcome.SUCCEEDED.label)
        seq = done["seq"].to_numpy()
        for of, values in self._values.items():
            begin, end = (done[name].cast(pl.Float64).to_numpy() for name in STAGES[of])
            grown = values if len(values) == jobs else _resized(values, jobs)
            grown[seq] = end - begin
            self._values[of] = grown
        self._samples.append(samples.select("lane", "node", "at", "pss_bytes"))

    def broken(self, lane: str) -> Judgement | None:
        """The first threshold that what is known does not keep; one of which nothing is known yet is kept."""
        figures = self._figures(lane)
        for threshold in self._thresholds:
            judged = threshold.judge(figures)
            if judged.measured is not None and not judged.kept:
                return judged
        return None

    def cannot_pass(self, jobs: int) -> bool:
        """Whether some threshold would be broken even if all the other jobs of the plan took no time at all."""
        return any(
            np.count_nonzero(self._known(t.of) > t.limit) > _allowed_beyond(jobs, t.name)
            for t in self._thresholds
            if t.name in STATISTICS and t.name != "mean" and t.operator in AT_MOST
        )

    def _known(self, of: str) -> NDArray[np.float64]:
        values = self._values[of]
        known: NDArray[np.float64] = values[~np.isnan(values)]
        return known

    def _figures(self, lane: str) -> _FiguresSoFar:
        spreads = {of: percentiles(values) for of, values in self._values.items()}
        return _FiguresSoFar(spreads=spreads, ended=self._ended, memory_per_slot_bytes=self._memory(lane))

    def _memory(self, lane: str) -> float | None:
        if not any(frame.height for frame in self._samples):
            return None
        window = (-np.inf, np.inf)
        return memory_per_slot_bytes(pl.concat(self._samples), lane=lane, windows=[window], slots=self._slots)


def can_tell_early(threshold: Threshold) -> bool:
    """Whether a threshold can be judged before the end: not what is lost, nor a rate, whose last jobs are to come."""
    return threshold.name in (*STATISTICS, *SEEN, MEMORY)


def _allowed_beyond(jobs: int, statistic: str) -> int:
    return 0 if statistic == "max" else values_beyond(jobs, statistic)


def _resized(values: NDArray[np.float64], jobs: int) -> NDArray[np.float64]:
    grown = np.full(jobs, np.nan)
    kept = min(jobs, len(values))
    grown[:kept] = values[:kept]
    return grown
