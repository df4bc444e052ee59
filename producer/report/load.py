"""The report of a load: rates, thresholds and what was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.report.fairness import by_host, by_node, hoarding
from producer.report.formats import count, milliseconds, number
from producer.report.kind import Check, ReportKind
from producer.report.parts import Prose, Table
from producer.report.tables import (
    INTERVALS,
    clocks,
    corrected,
    cost,
    cpu_limits,
    distances,
    latency,
    per_job,
    percentile_cell,
)
from producer.rundir.events import change_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from producer.analysis.load import JudgedThreshold, LoadFigures, LoadLane, LoadPhase, LoadSummary
    from producer.analysis.summary import Summary
    from producer.plan.run_settings import RunSettings
    from producer.report.parts import Part
    from producer.rundir.manifest import Aborted


FAILED_SHARE = 0.05
"""Above this share of failed jobs, a report begins with them."""


def load_answer(summary: Summary) -> Iterator[Part]:
    """Yield what became of the thresholds, of what was offered, and what was changed meanwhile."""
    load = summary.load
    assert load
    if load.aborted:
        yield ended_early(load.aborted)
    if any(map(_failed_too_often, load.lanes)):
        yield failed(load)
    if any(lane.thresholds for lane in load.lanes):
        yield thresholds(load)
    yield rates(load)
    if any(load.changes.values()):
        yield changed(load)
    if any(lane.fairness and lane.fairness.hoards for lane in load.lanes):
        yield hoarding(summary, load)


def load_parts(summary: Summary) -> Iterator[Part]:
    """Yield all else, by phase and workload."""
    load = summary.load
    assert load
    if any(len(lane.phases) > 1 for lane in load.lanes):
        yield rates_by_phase(load)
    if any(len(lane.workloads) > 1 for lane in load.lanes):
        yield rates_by_workload(load)
    if any(lane.fairness for lane in load.lanes):
        yield by_node(load)
    if any(lane.fairness and lane.fairness.hosts for lane in load.lanes):
        yield by_host(load)
    yield latency(summary)
    yield corrected(summary)
    yield cost(summary)
    yield per_job(summary)
    yield from cpu_limits(summary)
    yield from distances(summary)
    yield from clocks(summary)


def asked(settings: RunSettings) -> str:
    """Return what was done, in a few words."""
    assert settings.load
    return f"load {settings.load.scenario or settings.load.profile}"


def failed(load: LoadSummary) -> Prose:
    """Return how many jobs failed where they were many: the figures that follow are then those of failures."""
    lines = [
        f"{lane.lane}: {lane.settlement.failed:,} of {lane.settlement.sent:,} jobs failed "
        f"({lane.settlement.failed / lane.settlement.sent:.0%}). Its figures are theirs, too."
        for lane in load.lanes
        if _failed_too_often(lane)
    ]
    return Prose(title="Jobs failed", lines=lines)


def _failed_too_often(lane: LoadLane) -> bool:
    return lane.settlement.failed > FAILED_SHARE * lane.settlement.sent


def changed(load: LoadSummary) -> Prose:
    """Return what was changed while it ran."""
    lines = [
        f"{lane}: {'; '.join(f'at {change.at_s:.1f} s {change_text(change)}' for change in changes)}."
        for lane, changes in load.changes.items()
        if changes
    ]
    if len({str(changes) for changes in load.changes.values()}) > 1:
        lines.append(
            "Lanes did not get the same jobs: it was changed again, or for the first time, after the first lane."
        )
    return Prose(title="Changed while it ran", lines=lines)


def rates(load: LoadSummary) -> Table:
    """Return what was offered and what came of it, lane by lane."""
    return Table(
        title="Load: jobs per second, and what became of the jobs",
        columns=["lane", "offered/s", "sent/s", "finished/s", "jobs", "done", "failed", "lost", "refused"],
        rows=[_rates_row(lane) for lane in load.lanes],
        note="Finished/s counts until the last job had ended: well below offered/s, the lane did not keep up.",
    )


def _rates_row(lane: LoadLane) -> list[str]:
    settled = lane.settlement
    return [
        lane.lane,
        *map(number, (lane.offered_per_s, lane.sent_per_s, lane.finished_per_s)),
        *map(count, (settled.sent, settled.done, settled.failed, settled.lost, settled.refused)),
    ]


def rates_by_phase(load: LoadSummary) -> Table:
    """Return the same for each phase."""
    return _rates_by("phase", [(lane.lane, _phase_name(phase), phase) for lane in load.lanes for phase in lane.phases])


def _phase_name(phase: LoadPhase) -> str:
    return phase.phase if phase.counts else f"{phase.phase} (does not count)"


def rates_by_workload(load: LoadSummary) -> Table:
    """Return the same for each workload."""
    return _rates_by("workload", [(lane.lane, part.workload, part) for lane in load.lanes for part in lane.workloads])


def _rates_by(one: str, parts: Iterable[tuple[str, str, LoadFigures]]) -> Table:
    return Table(
        title=f"By {one}: jobs per second; sojourn in ms, of the jobs due in it",
        columns=["lane", one, "offered/s", "finished/s", "p50", "p99", "max", "jobs", "done", "failed"],
        rows=[[lane, name, *_part_cells(part)] for lane, name, part in parts if part.settlement.sent],
        note=INTERVALS,
    )


def _part_cells(part: LoadFigures) -> list[str]:
    settled, sojourn = part.settlement, part.latency.sojourn
    return [
        *map(number, (part.offered_per_s, part.finished_per_s)),
        *(percentile_cell(sojourn, name) for name in ("p50", "p99")),
        milliseconds(sojourn.max if sojourn else None),
        *map(count, (settled.sent, settled.done, settled.failed)),
    ]


def ended_early(aborted: Aborted) -> Prose:
    """Return where and why a load ended early."""
    what = f"{aborted.lane}: {aborted.why} was broken after {aborted.at_s:.0f} s"
    line = f"{what}; no more was sent from then on, and the lanes after it were not loaded."
    return Prose(title="Ended early", lines=[line])


def thresholds(load: LoadSummary) -> Prose:
    """Return each threshold on each lane, broken ones first, by how much and since when."""
    found = [(lane.lane, judged) for lane in load.lanes for judged in lane.thresholds]
    found.sort(key=lambda each: each[1].kept)
    return Prose(title="Thresholds", lines=[f"{lane}: {judged_sentence(judged)}" for lane, judged in found])


def judged_sentence(judged: JudgedThreshold) -> str:
    """Return what became of a threshold, by how much, and since when."""
    measured = "unknown" if judged.measured is None else f"{judged.measured:.4g}"
    kept = "kept" if judged.kept else "BROKEN"
    since = "" if judged.since_s is None else f"; since second {judged.since_s:.3g}"
    return f"{judged.threshold}: {kept}, {measured} against {judged.limit:.4g} {judged.unit}{since}."


def checks(summary: Summary) -> Iterator[Check]:
    """Yield each threshold on each lane, after the early end if there was one."""
    load = summary.load
    assert load
    if aborted := load.aborted:
        why = f"ended after {aborted.at_s:.0f} s: {aborted.why} was broken; the lanes after it were not loaded"
        yield Check(name="the load goes on to its end", lane=aborted.lane, failure=why)
    for lane in load.lanes:
        for judged in lane.thresholds:
            broken = "" if judged.kept else judged_sentence(judged)
            yield Check(name=judged.threshold, lane=lane.lane, failure=broken)


LOAD = ReportKind(name="load", asked=asked, parts=load_parts, answer=load_answer, checks=checks, between=", then ")
