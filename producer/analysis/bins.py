"""One trial of one lane over time, in bins of equal length: rates, backlog, queue waits and CPU. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from poolrace.contract import Outcome
from producer.analysis.percentiles import percentiles
from producer.plan.stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

MOST_BINS = 600
"""Of a trial: about one for each pixel or two of a chart."""

SHORT_S, FEWEST = 20.0, 20
"""Bins are a second and more, but a trial that is shorter than this is cut into so many."""

STEPS = (1, 2, 5)
_BEGUN = pl.coalesce(pl.col("started_at").fill_nan(None), "finished_at")
"""The instants at which a job is acknowledged early: as a slot takes it, or as it is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBins:
    """
    One trial of one lane, in bins of equal length.

    Attributes:
        trial: The trial.
        bin_s: Length of a bin, in seconds.
        at_s: Middle of each bin, from the trial's zero.
        offered_per_s: Jobs due in each bin, by its length.
        started_per_s: Jobs that a slot began.
        finished_per_s: Jobs that succeeded.
        ready: Jobs of the backlog that no node had taken, at the moment of each bin in which the backlog was highest.
        unacked: Those that one had taken and not acknowledged, at the same moment.
        wait_p50_s: Queue wait of the jobs started in each bin, the median; NaN without any.
        wait_max_s: The same, the longest: of the few jobs of a bin a rarer percentile would be that again.
        cores: By node, instants and CPU seconds per second since the sample before.
    """

    trial: Trial
    bin_s: float
    at_s: Floats
    offered_per_s: Floats
    started_per_s: Floats
    finished_per_s: Floats
    ready: Counts
    unacked: Counts
    wait_p50_s: Floats
    wait_max_s: Floats
    cores: Mapping[str, tuple[Floats, Floats]]

    @property
    def backlog(self) -> Counts:
        """Ready and unacked together, the most in each bin."""
        return self.ready + self.unacked


def bin_length_s(span_s: float) -> float:
    """Return a round length, of which at most `MOST_BINS` fill the time."""
    least_s = span_s / (MOST_BINS if span_s >= SHORT_S else FEWEST)
    power = 10.0 ** math.floor(math.log10(least_s)) if least_s > 0 else 1.0
    found = next(step * power for step in (*STEPS, 10) if step * power >= least_s * (1 - 1e-9))
    return max(found, 1.0) if span_s >= SHORT_S else found


def length_s(run: Run, trial: Trial) -> float:
    """Measure from a trial's zero to its last end, or to that of its plan."""
    last = run.records.filter(pl.col("trial") == trial.trial).select("started_at", "finished_at").to_numpy()
    due = run.sent.filter(pl.col("trial") == trial.trial).select("due_at", "sent_at").to_numpy()
    return max(trial.planned_s or 0.0, float(np.nanmax(last)) - trial.began_at, float(np.nanmax(due)) - trial.began_at)


def binned(run: Run, trial: Trial, bin_s: float, *, acks_late: bool) -> TrialBins:
    """
    Cut a trial into bins.

    Args:
        run: Where it is from.
        trial: One with jobs that were sent and that ended.
        bin_s: Length of a bin.
        acks_late: Whether the lane's nodes acknowledge a job when it has ended, not as a slot takes it.
    """
    sent = run.sent.filter(pl.col("trial") == trial.trial)
    records = run.records.filter(pl.col("trial") == trial.trial)
    finals = records.filter(pl.col("outcome") != Outcome.RETRIED.label).sort("finished_at").unique("seq", keep="first")
    done = finals.filter(pl.col("outcome") == Outcome.SUCCEEDED.label)
    started = records.filter(pl.col("started_at").fill_nan(None).is_not_null())
    begun_s = _offsets(started, "started_at", trial)
    span_s = length_s(run, trial)
    edges = edges_of(span_s, bin_s)
    ready, unacked = backlog(
        _offsets(sent.filter(pl.col("accepted_at").fill_nan(None).is_not_null()), "sent_at", trial),
        _offsets(records.group_by("seq").agg(pl.col("received_at").fill_nan(None).min()), "received_at", trial),
        _offsets(finals if acks_late else finals.with_columns(finished_at=_BEGUN), "finished_at", trial),
        edges,
    )
    p50_s, max_s = waits(begun_s, STAGES["queue_wait"].durations_s(started), edges)
    return TrialBins(
        trial=trial,
        bin_s=bin_s,
        at_s=edges[:-1] + bin_s / 2,
        offered_per_s=per_s(_offsets(sent, "due_at", trial), edges),
        started_per_s=per_s(begun_s, edges),
        finished_per_s=per_s(_offsets(done, "finished_at", trial), edges),
        ready=ready,
        unacked=unacked,
        wait_p50_s=p50_s,
        wait_max_s=max_s,
        cores=dict(_cores(run, trial, span_s)),
    )


def edges_of(span_s: float, bin_s: float) -> Floats:
    """Return the edges of bins that hold a time and its very end, from 0 on."""
    edges: Floats = np.arange(math.floor(span_s / bin_s + 1e-9) + 2, dtype=np.float64) * bin_s
    return edges


def per_s(offsets_s: Floats, edges: Floats) -> Floats:
    """Count instants in each bin, by its length."""
    found = np.bincount(_places(offsets_s, edges), minlength=len(edges) - 1)
    rates: Floats = found / (edges[1] - edges[0])
    return rates


def backlog(sent_s: Floats, taken_s: Floats, settled_s: Floats, edges: Floats) -> Counts:
    """
    Count the jobs that were ready and those unacked, two rows, at the last moment of each bin at which both are most.

    The level with which a bin begins stands unless a higher one follows. A job that no node reported is ready to the
    end.

    Args:
        sent_s: When the broker took each job.
        taken_s: When a node took each, of those that were taken.
        settled_s: When each was acknowledged, of those that were.
        edges: Of the bins.
    """
    bins = np.arange(len(edges) - 1)
    moments = np.concatenate([sent_s, taken_s, settled_s])
    order = np.argsort(moments, kind="stable")
    counts = len(sent_s), len(taken_s), len(settled_s)
    steps = np.array([np.repeat([1, -1, 0], counts), np.repeat([0, 1, -1], counts)])[:, order]
    # The first level is before any moment, so that each bin has one that it begins with.
    levels = np.concatenate([np.zeros((2, 1), np.int64), steps.cumsum(axis=1)], axis=1)
    places = np.concatenate([[-1], _places(moments[order], edges)])
    before = levels[:, np.searchsorted(places, bins) - 1]
    highest = np.lexsort((levels.sum(axis=0), places))
    last = highest[np.searchsorted(places[highest], bins, side="right") - 1]
    higher = (places[last] == bins) & (levels[:, last].sum(axis=0) > before.sum(axis=0))
    most: Counts = np.where(higher, levels[:, last], before)
    return most


def waits(begun_s: Floats, waits_s: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Return the median and the longest of the waits of the jobs begun in each bin; NaN without any."""
    p50, most = np.full(len(edges) - 1, np.nan), np.full(len(edges) - 1, np.nan)
    places = _places(begun_s, edges)
    order = np.argsort(places, kind="stable")
    bins, first = np.unique(places[order], return_index=True)
    # Where no job was started, there is one part all the same, an empty one.
    for place, part in zip(bins, np.split(waits_s[order], first[1:])[: len(bins)], strict=True):
        if found := percentiles(part):
            p50[place], most[place] = found.p50, found.max
    return p50, most


def _offsets(frame: pl.DataFrame, column: str, trial: Trial) -> Floats:
    """Return instants from the trial's zero, in seconds, without those that are unknown."""
    return (frame[column].fill_nan(None).drop_nulls() - trial.began_at).to_numpy()


def _places(offsets_s: Floats, edges: Floats) -> Counts:
    """Find the bin of each; clocks that disagree a little may put the first before the zero."""
    bin_s = edges[1] - edges[0]
    places: Counts = np.floor(offsets_s / bin_s + 1e-6).astype(np.int64)
    return places.clip(0, len(edges) - 2)


def _cores(run: Run, trial: Trial, span_s: float) -> Iterator[tuple[str, tuple[Floats, Floats]]]:
    """Yield the CPU seconds per second of each node of the lane, from one sample to the next."""
    during = pl.col("at").is_between(trial.began_at - 1.0, trial.began_at + span_s + 1.0)
    mine = run.samples.filter(pl.col("lane") == trial.lane, during).sort("at")
    for (node,), part in sorted(mine.partition_by("node", as_dict=True).items()):
        thin = part.gather_every(max(1, math.ceil(part.height / MOST_BINS)))
        at_s, cpu_s = (thin["at"] - trial.began_at).to_numpy(), thin["cpu_s"].to_numpy()
        steps = np.diff(at_s) > 0
        if steps.any():
            yield str(node), (at_s[1:][steps], np.diff(cpu_s)[steps] / np.diff(at_s)[steps])
