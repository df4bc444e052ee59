"""The running figures of a load, to end it when a threshold is broken or can no longer be kept. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import polars as pl

from poolrace.contract import Outcome
from producer.analysis.latency import first_successes
from producer.analysis.memory import memory_per_slot_bytes
from producer.analysis.percentiles import Percentiles, percentiles, values_beyond
from producer.plan.stages import STAGES
from producer.plan.thresholds import AT_MOST, MEMORY, STATISTICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from producer.plan.thresholds import Judgement, Threshold

FINISHED = "finished_at"
T = TypeVar("T", bound=np.generic)

SEEN = {"failed": Outcome.FAILED, "revoked": Outcome.REVOKED, "retried": Outcome.RETRIED}
"""Counts that only grow, so that they can be judged before the end."""


class Batch(Protocol):
    """
    The records of a trial that came in since the last look.

    Attributes:
        began_at: When the trial began, in seconds since the epoch.
        of: How many jobs it has.
        records: Records of its jobs, and maybe of trials before it.
        children: Records of jobs that its jobs started, under their numbers.
        samples: Samples of nodes; those of the lane count.
    """

    @property
    def began_at(self) -> float: ...  # noqa: D102 # above
    @property
    def of(self) -> int: ...  # noqa: D102
    @property
    def records(self) -> pl.DataFrame: ...  # noqa: D102
    @property
    def children(self) -> pl.DataFrame: ...  # noqa: D102
    @property
    def samples(self) -> pl.DataFrame: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class _FiguresSoFar:
    """
    The figures that thresholds are held against before the end; rates are not among them.

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
    The figures that thresholds ask for, of the jobs that have ended so far.

    It holds a number a job for each instant that is asked for, and no records: a load of an hour needs as much memory
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
        self._stages = [STAGES[of] for of in dict.fromkeys(t.of for t in self._thresholds if t.name in STATISTICS)]
        columns = dict.fromkeys(column for stage in self._stages for column in (stage.begin, stage.end))
        self._instants = {column: np.full(0, np.nan) for column in columns}
        self._done = np.full(0, fill_value=False)
        self._ended = dict.fromkeys(SEEN, 0)
        self._samples: list[pl.DataFrame] = []

    def add(self, snapshot: Batch) -> None:
        """Take in what has come since the last time."""
        ours, children = (self._counted(frame, snapshot) for frame in (snapshot.records, snapshot.children))
        for name, outcome in SEEN.items():
            self._ended[name] += ours.filter(pl.col("outcome") == outcome.label).height
        self._grow(snapshot.of)
        done = first_successes(ours)
        seq = done["seq"].to_numpy()
        first = ~self._done[seq]
        self._done[seq] = True
        for column, values in self._instants.items():
            at = done[column].cast(pl.Float64).to_numpy()[first]
            # A child may have ended before the job that started it.
            values[seq[first]] = np.fmax(at, values[seq[first]]) if column == FINISHED else at
        if FINISHED in self._instants:
            ended_at = children["finished_at"].cast(pl.Float64).to_numpy()
            np.fmax.at(self._instants[FINISHED], children["seq"].to_numpy(), ended_at)
        self._samples.append(snapshot.samples.select("lane", "node", "at", "pss_bytes"))

    def _grow(self, jobs: int) -> None:
        """Make room for the jobs of a plan that may have been changed; what is known of those that stay is kept."""
        if len(self._done) != jobs:
            self._done = _resized(self._done, jobs, fill=False)
            self._instants = {column: _resized(values, jobs, fill=np.nan) for column, values in self._instants.items()}

    def _counted(self, records: pl.DataFrame, snapshot: Batch) -> pl.DataFrame:
        # A node's last records of the warm-up come with the first of the trial; they were due before it began.
        ours = records.filter((pl.col("due_at") >= snapshot.began_at) & (pl.col("seq") < snapshot.of))
        return ours.filter(self._counts(ours["due_at"].to_numpy() - snapshot.began_at))

    def broken(self, lane: str) -> Judgement | None:
        """Return the first threshold that is broken so far; one of which nothing is known yet is not."""
        figures = self._figures(lane)
        for threshold in self._thresholds:
            judged = threshold.judge(figures)
            if judged.measured is not None and not judged.kept:
                return judged
        return None

    def cannot_pass(self, jobs: int) -> bool:
        """Check whether some threshold would be broken even if all other jobs of the plan took no time."""
        return any(
            np.count_nonzero(self._known(t.of) > t.limit) > _allowed_beyond(jobs, t.name)
            for t in self._thresholds
            if t.name in STATISTICS and t.name != "mean" and t.operator in AT_MOST
        )

    def _known(self, of: str) -> NDArray[np.float64]:
        """Durations of a stage, of the jobs of which both ends are known."""
        took_s = self._instants[STAGES[of].end] - self._instants[STAGES[of].begin]
        known: NDArray[np.float64] = took_s[~np.isnan(took_s)]
        return known

    def _figures(self, lane: str) -> _FiguresSoFar:
        spreads = {stage.name: percentiles(self._known(stage.name)) for stage in self._stages}
        return _FiguresSoFar(spreads=spreads, ended=self._ended, memory_per_slot_bytes=self._memory(lane))

    def _memory(self, lane: str) -> float | None:
        if not any(frame.height for frame in self._samples):
            return None
        window = (-np.inf, np.inf)
        return memory_per_slot_bytes(pl.concat(self._samples), lane=lane, windows=[window], slots=self._slots)


def can_tell_early(threshold: Threshold) -> bool:
    """Check whether a threshold can be judged before the end: not lost jobs, nor a rate, which takes all jobs."""
    return threshold.name in (*STATISTICS, *SEEN, MEMORY)


def _allowed_beyond(jobs: int, statistic: str) -> int:
    return 0 if statistic == "max" else values_beyond(jobs, statistic)


def _resized(values: NDArray[T], jobs: int, *, fill: float) -> NDArray[T]:
    grown = np.full(jobs, fill, dtype=values.dtype)
    kept = min(jobs, len(values))
    grown[:kept] = values[:kept]
    return grown
