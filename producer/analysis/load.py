"""
What a load found on each lane: offered and achieved rates, as a whole, by phase and by workload, and what became of its
thresholds. Pure.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import polars as pl

from producer.analysis.breach import CountedJobs, first_breach_s
from producer.analysis.latency import first_successes, latency
from producer.analysis.memory import memory_per_slot_bytes
from producer.analysis.phases import phase_windows, whole_window
from producer.analysis.settle import settle, tally
from producer.plan.stages import STAGES
from producer.plan.thresholds import STATISTICS, parse_threshold
from producer.rundir.schema import KEY
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.analysis.phases import PhaseWindow
    from producer.plan.thresholds import Threshold
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

UNITS = {"rate": "jobs/s", "mem_per_slot": "bytes"}


def load_lanes(run: Run, fates: pl.DataFrame | None = None) -> list[dict[str, Any]]:
    """One entry a lane, in the order in which they were loaded; none for a run that is no load."""
    fates = settle(run.sent, run.records, run.trials) if fates is None else fates
    thresholds = [parse_threshold(text) for text in run.manifest["settings"].get("thresholds", [])]
    return [_lane(_Seen(run, trial, fates), thresholds) for trial in run.trials if trial.kind is Kind.LOAD]


def probe_figures(run: Run, trial: Trial, fates: pl.DataFrame) -> dict[str, Any]:
    """The figures of one trial at a held rate, for thresholds to be held against."""
    seen = _Seen(run, trial, fates)
    return {
        **seen.figures([seen.whole]),
        "memory_per_slot_bytes": seen.memory_per_slot_bytes(),
        "growth_s": seen.growth_s(),
    }


def _lane(seen: _Seen, thresholds: Sequence[Threshold]) -> dict[str, Any]:
    counted = [phase for phase in seen.phases if phase.counts] or [seen.whole]
    figures = {**seen.figures(counted), "memory_per_slot_bytes": seen.memory_per_slot_bytes()}
    return {
        "lane": seen.trial.lane,
        **figures,
        "phases": [{"phase": p.name, "counts": p.counts, **seen.figures([p])} for p in seen.phases],
        "workloads": [
            {"workload": name, **seen.figures(counted, part=number)} for number, name in enumerate(seen.trial.parts)
        ],
        "thresholds": [_judge(threshold, figures, seen, counted) for threshold in thresholds],
        "given_up_s": seen.trial.given_up_s,
    }


def _judge(
    threshold: Threshold, figures: Mapping[str, Any], seen: _Seen, counted: Sequence[PhaseWindow]
) -> dict[str, Any]:
    judged = threshold.judge(figures)
    unit = "s" if threshold.name in STATISTICS else UNITS.get(threshold.name, "jobs")
    since_s = None if judged.kept else first_breach_s(threshold, judged.limit, seen.part(counted))
    return {**asdict(judged), "unit": unit, "since_s": since_s}


class _Seen:
    """What was recorded of one trial, with every job's offset from its start."""

    def __init__(self, run: Run, trial: Trial, fates: pl.DataFrame) -> None:
        self.trial = trial
        offset_s = (pl.col("due_at") - trial.began_at).alias("offset_s")
        sent = run.sent.filter(pl.col("trial") == trial.trial).with_columns(offset_s)
        self._sent = sent.join(fates.filter(pl.col("trial") == trial.trial), on=KEY, how="left", maintain_order="left")
        done = first_successes(
            run.records.filter(pl.col("trial") == trial.trial), run.children.filter(pl.col("trial") == trial.trial)
        )
        self._done = done.join(sent.select(*KEY, "part", "offset_s"), on=KEY, how="inner", maintain_order="left")
        self._samples = run.samples
        self.whole = whole_window(trial)
        self.phases = phase_windows(run, trial)

    def figures(self, stretches: Sequence[PhaseWindow], part: int | None = None) -> dict[str, Any]:
        """
        Rates, settlement and latency of the jobs due in some stretches, of one workload or of all.

        Jobs per second are over the time that the stretches take, or that it took to send or finish their jobs, if that
        is more.
        """
        sent, done = (self._chosen(frame, stretches, part) for frame in (self._sent, self._done))
        accepted = sent.filter(pl.col("accepted_at").is_not_null())
        took_s = sum(stretch.end_s - stretch.begin_s for stretch in stretches)
        # Between stretches that count there may be some that do not, whose time is not theirs.
        over_at = self.trial.began_at + stretches[-1].end_s
        return {
            "duration_s": took_s,
            "offered_per_s": sent.height / took_s,
            "generator_per_s": sent.height / (took_s + max(0.0, _last(sent, "sent_at") - over_at)),
            "sent_per_s": accepted.height / (took_s + max(0.0, _last(accepted, "sent_at") - over_at)),
            "finished_per_s": done.height / (took_s + max(0.0, _last(done, "finished_at") - over_at)),
            "settlement": tally(sent).to_dict(),
            "latency": latency(done, sent).to_dict(),
        }

    def growth_s(self) -> float | None:
        """
        By how much the queue wait grew: the median of the last quarter of the time minus that of the first, in seconds.

        None if either quarter has no jobs that succeeded. Where it grows, a longer trial waits longer.
        """
        quarter_s = self.whole.end_s / 4
        waits = STAGES["queue_wait"].took_s.median()
        first, last = (
            self._done.filter(pl.col("offset_s").is_between(begin_s, begin_s + quarter_s, closed="left"))
            .select(waits)
            .item()
            for begin_s in (0.0, 3 * quarter_s)
        )
        return None if first is None or last is None else last - first

    def memory_per_slot_bytes(self) -> float | None:
        """PSS of the lane's nodes while it was loaded."""
        window = (self.trial.began_at, self.trial.ended_at)
        return memory_per_slot_bytes(self._samples, lane=self.trial.lane, windows=[window], slots=self.trial.slots)

    def part(self, stretches: Sequence[PhaseWindow]) -> CountedJobs:
        """The jobs due in some stretches, to see since when they broke a threshold."""
        return CountedJobs(
            trial=self.trial,
            sent=self._chosen(self._sent, stretches, None),
            done=self._chosen(self._done, stretches, None),
            samples=self._samples,
            begin_s=stretches[0].begin_s,
        )

    @staticmethod
    def _chosen(frame: pl.DataFrame, stretches: Sequence[PhaseWindow], part: int | None) -> pl.DataFrame:
        chosen = frame.filter(pl.any_horizontal(stretch.holds() for stretch in stretches))
        return chosen if part is None else chosen.filter(pl.col("part") == part)


def _last(frame: pl.DataFrame, column: str) -> float:
    found: Any = frame[column].max()
    return float(found) if found is not None else float("-inf")
