"""
What a load found on each lane: offered and achieved rates, as a whole, by phase and by workload, and what became of its
thresholds. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from producer.analysis.breach import CountedJobs, first_breach_s
from producer.analysis.fairness import Fairness, fairness
from producer.analysis.generator import missed_the_rate
from producer.analysis.kind import KindParts, RunKind
from producer.analysis.latency import Latency, first_successes, latency
from producer.analysis.memory import memory_per_slot_bytes
from producer.analysis.phases import phase_windows, whole_window
from producer.analysis.settle import Fate, Settlement, settle, tally
from producer.plan.script import Change
from producer.plan.stages import STAGES
from producer.plan.thresholds import STATISTICS, Judgement, parse_threshold
from producer.rundir.manifest import Aborted
from producer.rundir.schema import KEY
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.phases import PhaseWindow
    from producer.analysis.results import Analysis
    from producer.analysis.verdict import Verdict
    from producer.plan.thresholds import Threshold
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

F = TypeVar("F", bound="LoadFigures")

UNITS = {"rate": "jobs/s", "mem_per_slot": "bytes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFigures:
    """
    The figures of the jobs of a load that were due in some time, of one workload or of all.

    Attributes:
        duration_s: The time in which they were due, in seconds.
        offered_per_s: Jobs due, per second of it.
        generator_per_s: Jobs that the generator tried to send, per second.
        sent_per_s: Jobs that the broker accepted, per second.
        finished_per_s: Jobs that succeeded, per second until the last of them had ended.
        settlement: What became of the jobs.
        latency: The stages of their lives.
    """

    duration_s: float
    offered_per_s: float
    generator_per_s: float
    sent_per_s: float
    finished_per_s: float
    settlement: Settlement
    latency: Latency

    def statistic(self, stage: str, name: str) -> float | None:
        """Return a statistic of a stage in seconds, e.g. `p99.9` of `sojourn`; None if no job has the stage."""
        found = self.latency.stage(stage)
        return found.statistic(name) if found else None

    def throughput_per_s(self, of: str) -> float:
        """Return the rate at which jobs were `sent` or `finished`, per second."""
        return {"sent": self.sent_per_s, "finished": self.finished_per_s}[of]

    def jobs(self, fate: str) -> int:
        """Return how many jobs met a fate."""
        return self.settlement.count(Fate(fate))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPhase(LoadFigures):
    """
    The figures of a phase.

    Attributes:
        phase: Its name.
        counts: Whether thresholds and the lane's own figures take its jobs in.
    """

    phase: str
    counts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadWorkload(LoadFigures):
    """
    The figures of one workload in the phases that count.

    Attributes:
        workload: Its name.
    """

    workload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedThreshold(Judgement):
    """
    A threshold that a load was held against.

    Attributes:
        unit: Of `measured` and `limit`: `s`, `jobs`, `jobs/s` or `bytes`.
        since_s: The second of the load since which it was broken; None if it was kept, or that cannot be said.
    """

    unit: str
    since_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFigures(LoadFigures):
    """
    The figures of a lane.

    Attributes:
        memory_per_slot_bytes: Memory of its nodes while it was loaded, by slot; None if unknown.
    """

    memory_per_slot_bytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLane(LaneFigures):
    """
    The findings of a load on a lane; its own figures are those of the phases that count.

    Attributes:
        lane: The lane's key.
        phases: Each phase that was reached.
        workloads: Each workload.
        thresholds: What became of each threshold.
        given_up_s: When no more was sent, in seconds from its start; None if all was.
        fairness: How its nodes shared the jobs; None for one node.
    """

    lane: str
    phases: tuple[LoadPhase, ...]
    workloads: tuple[LoadWorkload, ...]
    thresholds: tuple[JudgedThreshold, ...]
    given_up_s: float | None
    fairness: Fairness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFigures(LaneFigures):
    """
    The figures of one trial at a held rate.

    Attributes:
        growth_s: By how much the queue wait grew, in seconds; None if unknown.
    """

    growth_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary:
    """
    The findings of a load.

    Attributes:
        lanes: One entry a lane, in the order in which they were loaded.
        aborted: Its early end; None if it went on to the end.
        changes: What was changed while it ran, by lane.
    """

    lanes: tuple[LoadLane, ...]
    aborted: Aborted | None
    changes: Mapping[str, tuple[Change, ...]]

    @property
    def met(self) -> bool:
        """True if no threshold was broken."""
        return not self.aborted and all(judged.kept for lane in self.lanes for judged in lane.thresholds)


def load_parts(run: Run, analysis: Analysis, verdicts: Sequence[Verdict]) -> KindParts:  # noqa: ARG001 - as of any kind
    """Return what a load found on each lane, and where its generator was too slow."""
    lanes = load_lanes(run, analysis.fates)
    found = LoadSummary(lanes=lanes, aborted=run.manifest.aborted, changes=run.manifest.changes)
    short = [lane for lane in lanes if missed_the_rate(lane.generator_per_s, lane.offered_per_s)]
    return KindParts(found=found, problems=tuple(map(_short_of_the_rate, short)))


def _short_of_the_rate(lane: LoadLane) -> str:
    return (
        f"The generator could not hold the rate: it sent {lane.generator_per_s:,.0f} jobs/s of "
        f"{lane.offered_per_s:,.0f} to {lane.lane}. Use a lower rate, more --publishers or a faster machine."
    )


def load_lanes(run: Run, fates: pl.DataFrame | None = None) -> tuple[LoadLane, ...]:
    """Return what a load found on each lane, in the order in which they were loaded."""
    options = run.manifest.settings.load
    if options is None:
        return ()
    fates = settle(run.sent, run.records, run.trials) if fates is None else fates
    thresholds = [parse_threshold(text) for text in options.thresholds]
    loads = [trial for trial in run.trials if trial.kind is Kind.LOAD]
    return tuple(_lane(_Seen(run, trial, fates), thresholds) for trial in loads)


def probe_figures(run: Run, trial: Trial, fates: pl.DataFrame) -> ProbeFigures:
    """Return the figures of one trial at a held rate, for thresholds to be held against."""
    seen = _Seen(run, trial, fates)
    return seen.figures(
        [seen.whole], ProbeFigures, memory_per_slot_bytes=seen.memory_per_slot_bytes(), growth_s=seen.growth_s()
    )


def _lane(seen: _Seen, thresholds: Sequence[Threshold]) -> LoadLane:
    counted = [phase for phase in seen.phases if phase.counts] or [seen.whole]
    memory = seen.memory_per_slot_bytes()
    figures = seen.figures(counted, LaneFigures, memory_per_slot_bytes=memory)
    return seen.figures(
        counted,
        LoadLane,
        memory_per_slot_bytes=memory,
        lane=seen.trial.lane,
        phases=tuple(seen.figures([p], LoadPhase, phase=p.name, counts=p.counts) for p in seen.phases),
        workloads=tuple(
            seen.figures(counted, LoadWorkload, part=number, workload=name)
            for number, name in enumerate(seen.trial.parts)
        ),
        thresholds=tuple(_judge(threshold, figures, seen, counted) for threshold in thresholds),
        given_up_s=seen.trial.given_up_s,
        fairness=seen.fairness(),
    )


def _judge(threshold: Threshold, figures: LaneFigures, seen: _Seen, counted: Sequence[PhaseWindow]) -> JudgedThreshold:
    judged = threshold.judge(figures)
    unit = "s" if threshold.name in STATISTICS else UNITS.get(threshold.name, "jobs")
    since_s = None if judged.kept else first_breach_s(threshold, judged.limit, seen.part(counted))
    return JudgedThreshold(**asdict(judged), unit=unit, since_s=since_s)


class _Seen:
    """The tables of one trial, with every job's offset from its start."""

    def __init__(self, run: Run, trial: Trial, fates: pl.DataFrame) -> None:
        self.trial = trial
        offset_s = (pl.col("due_at") - trial.began_at).alias("offset_s")
        sent = run.sent.filter(pl.col("trial") == trial.trial).with_columns(offset_s)
        self._sent = sent.join(fates.filter(pl.col("trial") == trial.trial), on=KEY, how="left", maintain_order="left")
        self._records = run.records.filter(pl.col("trial") == trial.trial)
        # A node that does not say how many slots it has is left out, as if it were not there.
        self._slots = {
            node.node: int(node.hello["concurrency"])
            for node in run.manifest.nodes
            if node.lane == trial.lane and "concurrency" in node.hello
        }
        done = first_successes(self._records, run.children.filter(pl.col("trial") == trial.trial))
        self._done = done.join(sent.select(*KEY, "part", "offset_s"), on=KEY, how="inner", maintain_order="left")
        self._samples = run.samples
        self.whole = whole_window(trial)
        self.phases = phase_windows(run, trial)

    def figures(self, stretches: Sequence[PhaseWindow], kind: type[F], part: int | None = None, **more: Any) -> F:
        """
        Return rates, settlement and latency of the jobs due in some stretches, of one workload or of all.

        Jobs per second are over the time that the stretches take, or that it took to send or finish their jobs, if that
        is more.

        Args:
            stretches: The stretches, in order.
            kind: The noun to make.
            part: Number of the workload; None for all.
            more: The noun's other fields.
        """
        sent, done = (self._chosen(frame, stretches, part) for frame in (self._sent, self._done))
        accepted = sent.filter(pl.col("accepted_at").is_not_null())
        took_s = sum(stretch.end_s - stretch.begin_s for stretch in stretches)
        # Between stretches that count there may be some that do not, whose time is not theirs.
        over_at = self.trial.began_at + stretches[-1].end_s
        return kind(
            duration_s=took_s,
            offered_per_s=sent.height / took_s,
            generator_per_s=sent.height / (took_s + max(0.0, _last(sent, "sent_at") - over_at)),
            sent_per_s=accepted.height / (took_s + max(0.0, _last(accepted, "sent_at") - over_at)),
            finished_per_s=done.height / (took_s + max(0.0, _last(done, "finished_at") - over_at)),
            settlement=tally(sent),
            latency=latency(done, sent),
            **more,
        )

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

    def fairness(self) -> Fairness | None:
        """How the lane's nodes shared its jobs; None for one node."""
        return fairness(self._records, self._slots)

    def part(self, stretches: Sequence[PhaseWindow]) -> CountedJobs:
        """Return the jobs due in some windows, to find since when they broke a threshold."""
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


LOAD = RunKind(name="load", summarise=load_parts)
