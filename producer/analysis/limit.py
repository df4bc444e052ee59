"""The limit of each lane: the probes of a search, its bracket, and whether it was confirmed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from producer.analysis.generator import missed_the_rate, was_late
from producer.analysis.kind import KindParts, RunKind
from producer.analysis.load import ProbeFigures, probe_figures
from producer.analysis.search import Search
from producer.plan.thresholds import Judgement, parse_threshold
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from producer.analysis.results import Analysis
    from producer.analysis.verdict import Verdict
    from producer.plan.run_settings import LimitOptions
    from producer.plan.thresholds import Threshold
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

PROBES = frozenset({Kind.PROBE, Kind.CONFIRMATION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(ProbeFigures):
    """
    One probe: what was offered, what came of it, and whether it passed.

    Attributes:
        trial: Number of its trial.
        kind: `probe`, or `confirmation` for the repeat of a rate that passed.
        rate_per_s: The rate that was to be held.
        passed: Whether the lane held it.
        growing: Whether the queue wait grew by too much.
        late: Whether the generator was late.
        given_up_s: When no more was sent, in seconds from its start; None if all was.
        thresholds: What became of each part of the SLO.
    """

    trial: int
    kind: Kind
    rate_per_s: float
    passed: bool
    growing: bool
    late: bool
    given_up_s: float | None
    thresholds: tuple[Judgement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitLane:
    """
    The limit of a lane.

    Attributes:
        lane: The lane's key.
        held_per_s: The highest rate held, in jobs per second; None if none was.
        broke_per_s: The lowest rate above it that was not; None if each was.
        confirmed: Whether the held rate passed again and the bracket is as narrow as was asked.
        broken_by: What broke the upper end, in words; None if nothing did.
        generator_late: Whether the generator was late there, so that the limit may be its own.
        probes: Every probe, in order.
    """

    lane: str
    held_per_s: float | None
    broke_per_s: float | None
    confirmed: bool
    broken_by: str | None
    generator_late: bool
    probes: tuple[Probe, ...]

    @property
    def breaking_probe(self) -> Probe | None:
        """The first probe that failed at the upper end; None if each rate was held."""
        return next((each for each in self.probes if each.rate_per_s == self.broke_per_s and not each.passed), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSummary:
    """
    The findings of a search for the limit.

    Attributes:
        lanes: One entry a lane, in the order of their first probe.
    """

    lanes: tuple[LimitLane, ...]

    @property
    def met(self) -> bool:
        """True if the limit of each lane was found and confirmed."""
        return all(lane.confirmed for lane in self.lanes)


def limit_parts(run: Run, analysis: Analysis, verdicts: Sequence[Verdict]) -> KindParts:  # noqa: ARG001 - as of any kind
    """Return what a search found on each lane, and where the limit may be the generator's own."""
    lanes = limit_lanes(run, analysis.fates)
    return KindParts(found=LimitSummary(lanes=lanes), problems=tuple(filter(None, map(_generators_limit, lanes))))


def _generators_limit(lane: LimitLane) -> str | None:
    broke = lane.breaking_probe
    if broke is None or not broke.late:
        return None
    return (
        f"The generator was late when {lane.lane} broke at {broke.rate_per_s:.1f}/s; it sent "
        f"{broke.generator_per_s:.1f}/s. The limit may be its own. Use a quieter machine, or more --publishers."
    )


def limit_lanes(run: Run, fates: pl.DataFrame) -> tuple[LimitLane, ...]:
    """Return what a search found on each lane, in the order of their first probe."""
    options = run.manifest.settings.limit
    if options is None:
        return ()
    slo = [parse_threshold(text) for text in options.slo]
    probes: dict[str, list[Probe]] = {}
    for trial in run.trials:
        if trial.kind in PROBES:
            probes.setdefault(trial.lane, []).append(probe(run, trial, fates, slo))
    return tuple(_lane(lane, found, options) for lane, found in probes.items())


def probe(run: Run, trial: Trial, fates: pl.DataFrame, slo: Sequence[Threshold]) -> Probe:
    """Return what came of a probe."""
    figures = probe_figures(run, trial, fates)
    judged = tuple(threshold.judge(figures) for threshold in slo)
    growing = _growing(figures)
    return Probe(
        **{field.name: getattr(figures, field.name) for field in fields(figures)},
        trial=trial.trial,
        kind=trial.kind,
        rate_per_s=trial.rate_per_s or 0.0,
        passed=all(each.kept for each in judged) and trial.given_up_s is None and not growing,
        growing=growing,
        late=was_late(figures.latency) or missed_the_rate(figures.generator_per_s, figures.offered_per_s),
        given_up_s=trial.given_up_s,
        thresholds=judged,
    )


def _growing(figures: ProbeFigures) -> bool:
    """
    Return whether jobs waited longer and longer: a lane that needs a longer probe to break does not hold the rate.

    By more than the median service time, which the chance of arrivals alone seldom makes of a lane that keeps up.
    """
    service = figures.latency.service
    return service is not None and figures.growth_s is not None and figures.growth_s > service.p50


def _lane(lane: str, probes: Sequence[Probe], options: LimitOptions) -> LimitLane:
    search = Search(probes[0].rate_per_s, precision=options.precision)
    for each in probes:
        search.tell(each.rate_per_s, passed=each.passed)
    found = LimitLane(
        lane=lane,
        held_per_s=search.held_per_s,
        broke_per_s=search.broke_per_s,
        confirmed=search.confirmed,
        broken_by=None,
        generator_late=False,
        probes=tuple(probes),
    )
    broke = found.breaking_probe
    return replace(found, broken_by=_broken_by(broke), generator_late=broke.late) if broke else found


def _broken_by(broke: Probe) -> str:
    broken = [each.threshold for each in broke.thresholds if not each.kept]
    if broke.growing and broke.growth_s is not None:
        broken.append(f"queue wait grew by {broke.growth_s * 1000:.0f} ms")
    return ", ".join(broken) or "too many jobs over the threshold"


LIMIT = RunKind(name="limit", summarise=limit_parts)
