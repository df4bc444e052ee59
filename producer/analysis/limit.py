"""The limit of each lane: the probes of its search, and the interval that they leave. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from producer.analysis.generator import missed_the_rate, was_late
from producer.analysis.kind import KindParts, RunKind
from producer.analysis.limit_fit import fit
from producer.analysis.load import ProbeFigures, probe_figures
from producer.plan.thresholds import Judgement, parse_threshold
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from producer.analysis.results import Analysis
    from producer.analysis.verdict import Verdict
    from producer.plan.thresholds import Threshold
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(ProbeFigures):
    """
    One probe: what was offered, what came of it, and whether it passed.

    Attributes:
        trial: Number of its trial.
        rate_per_s: The rate that was to be held.
        passed: Whether the lane held it.
        growing: Whether the queue wait grew by too much.
        late: Whether the generator was late.
        given_up_s: When no more was sent, in seconds from its start; None if all was.
        thresholds: What became of each part of the SLO.
    """

    trial: int
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
        limit_per_s: The rate at which three of five probes pass, in jobs per second; None unless at least one passed
            and one failed.
        low_per_s: The lower end of its 90 % interval; the highest rate that was probed where none failed, and None
            where none passed.
        high_per_s: The upper end; the lowest rate that was probed where none passed, and None where none failed.
        broken_by: What broke the lowest rate above the limit that failed, in words; None if none failed.
        generator_late: Whether the generator was late where the lane broke, so that the limit may be its own.
        probes: Every probe, in order.
    """

    lane: str
    limit_per_s: float | None
    low_per_s: float | None
    high_per_s: float | None
    broken_by: str | None
    generator_late: bool
    probes: tuple[Probe, ...]

    @property
    def holds_a_rate(self) -> bool:
        """True if any probe passed."""
        return self.low_per_s is not None

    @property
    def width(self) -> float | None:
        """The length of the interval, as a part of its lower end; None if an end is not known."""
        if self.limit_per_s is None or not self.low_per_s or self.high_per_s is None:
            return None
        return self.high_per_s / self.low_per_s - 1


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
        """True if each lane holds some rate."""
        return all(lane.holds_a_rate for lane in self.lanes)


def limit_parts(run: Run, analysis: Analysis, verdicts: Sequence[Verdict]) -> KindParts:  # noqa: ARG001 - as of any kind
    """Return what a search found on each lane, and where the limit may be the generator's own."""
    lanes = limit_lanes(run, analysis.fates)
    return KindParts(found=LimitSummary(lanes=lanes), problems=tuple(filter(None, map(_generators_limit, lanes))))


def _generators_limit(lane: LimitLane) -> str | None:
    late = late_probe(lane.probes, breaking_probe(lane.probes, lane.limit_per_s), lane.high_per_s)
    if late is None:
        return None
    return (
        f"The generator was late when {lane.lane} broke at {late.rate_per_s:.1f}/s; it sent "
        f"{late.generator_per_s:.1f}/s. The limit may be its own. Use a quieter machine, or more --publishers."
    )


def limit_lanes(run: Run, fates: pl.DataFrame) -> tuple[LimitLane, ...]:
    """Return what a search found on each lane, in the order of their first probe."""
    options = run.manifest.settings.limit
    if options is None:
        return ()
    slo = [parse_threshold(text) for text in options.slo]
    probes: dict[str, list[Probe]] = {}
    for trial in run.trials:
        if trial.kind is Kind.PROBE:
            probes.setdefault(trial.lane, []).append(probe(run, trial, fates, slo))
    return tuple(_lane(lane, found) for lane, found in probes.items())


def probe(run: Run, trial: Trial, fates: pl.DataFrame, slo: Sequence[Threshold]) -> Probe:
    """Return what came of a probe."""
    figures = probe_figures(run, trial, fates)
    judged = tuple(threshold.judge(figures) for threshold in slo)
    growing = _growing(figures)
    return Probe(
        **{field.name: getattr(figures, field.name) for field in fields(figures)},
        trial=trial.trial,
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


def _lane(lane: str, probes: Sequence[Probe]) -> LimitLane:
    found = fit([(each.rate_per_s, each.passed) for each in probes])
    passed = [each.rate_per_s for each in probes if each.passed]
    failed = [each.rate_per_s for each in probes if not each.passed]
    limit_per_s = found.limit_per_s if found else None
    broke = breaking_probe(probes, limit_per_s)
    high_per_s = found.high_per_s if found else min(failed, default=None)
    return LimitLane(
        lane=lane,
        limit_per_s=limit_per_s,
        low_per_s=found.low_per_s if found else max(passed, default=None),
        high_per_s=high_per_s,
        broken_by=_broken_by(broke) if broke else None,
        generator_late=late_probe(probes, broke, high_per_s) is not None,
        probes=tuple(probes),
    )


def breaking_probe(probes: Sequence[Probe], limit_per_s: float | None) -> Probe | None:
    """
    Return the probe that shows what breaks a lane: the lowest above its limit that failed, else the highest below.

    Of several at one rate it is the first. None if no probe failed.
    """
    failed = [each for each in probes if not each.passed]
    above = [each for each in failed if limit_per_s is None or each.rate_per_s >= limit_per_s]
    if above:
        return min(above, key=lambda each: each.rate_per_s)
    return max(failed, key=lambda each: each.rate_per_s, default=None)


def late_probe(probes: Sequence[Probe], broke: Probe | None, high_per_s: float | None) -> Probe | None:
    """
    Return the lowest probe that failed with a late generator, if at least half of those near the limit did.

    Near are all that failed up to the upper end of the limit's interval, or up to what shows what breaks the lane. What
    failed far above says nothing of the limit, and one late probe among many does not make the limit the generator's.
    """
    if broke is None or high_per_s is None:
        return None
    near = [each for each in probes if not each.passed and each.rate_per_s <= max(broke.rate_per_s, high_per_s)]
    late = [each for each in near if each.late]
    return min(late, key=lambda each: each.rate_per_s) if late and 2 * len(late) >= len(near) else None


def _broken_by(broke: Probe) -> str:
    broken = [each.threshold for each in broke.thresholds if not each.kept]
    if broke.growing and broke.growth_s is not None:
        broken.append(f"queue wait grew by {broke.growth_s * 1000:.0f} ms")
    return ", ".join(broken) or "too many jobs over the threshold"


LIMIT = RunKind(name="limit", summarise=limit_parts)
