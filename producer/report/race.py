"""The report of a race: what to run and how sure that is, then capacity, latency, cost and verdicts."""

from __future__ import annotations

from itertools import combinations, groupby
from typing import TYPE_CHECKING

from poolrace.transport_setting import ATOMIC
from producer.analysis.recommendation import NOT_VALID
from producer.analysis.sureness import explained, told
from producer.report.answer import answer_parts, mix_parts, settings_given_up
from producer.report.formats import NONE, number, ratio
from producer.report.intervals import interval_note
from producer.report.kind import ReportKind
from producer.report.parts import Prose, Table
from producer.report.tables import clocks, corrected, cost, cpu_limits, distances, latency, per_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.pairs import Measure
    from producer.analysis.recommendation import Recommendation
    from producer.analysis.summary import Summary
    from producer.analysis.verdict import Verdict
    from producer.analysis.workload import WorkloadSummary
    from producer.plan.run_settings import RunSettings
    from producer.report.parts import Part

NO_LANE = "none"
"""In place of a pool."""

MATTER = 3
"""Sentences on what a pool gives up that matter at once: the gravest come first."""

HEAVIER = 1.05
"""A memory per slot over that of another lane from which it is worth a sentence."""


def race_answer(summary: Summary) -> Iterator[Part]:
    """Yield what to run for each workload, the lines to copy, and what that gives up."""
    yield what_to_run(summary)
    commands = dict.fromkeys(each.recommendation.command for each in _ordered(summary))
    if found := [command for command in commands if command]:
        yield Prose(title="", lines=[], commands=found)
    yield from mix_parts(summary)
    yield from given_up(summary)


def race_parts(summary: Summary) -> Iterator[Part]:
    """Yield what a race found, but for the answer."""
    yield capacity(summary)
    yield latency(summary)
    yield corrected(summary)
    yield cost(summary)
    yield per_job(summary)
    yield from cpu_limits(summary)
    yield from distances(summary)
    yield from clocks(summary)
    yield verdicts(summary)
    yield from answer_parts(summary)


def asked(settings: RunSettings) -> str:
    """Return what was done, in a few words."""
    assert settings.race
    pairs, at_most_s = settings.race.pairs, settings.race.at_most_s
    if pairs:
        return f"{pairs} pairs of trials a workload"
    return f"measured for at most {at_most_s:g} s" if at_most_s else "measured until all was settled"


def what_to_run(summary: Summary) -> Table | Prose:
    """Return which lane to run for each workload, how sure that is and why; none if the run is not valid."""
    workloads = _ordered(summary)
    if all(each.recommendation == NOT_VALID for each in workloads):
        return Prose(title=WHAT_TO_RUN, lines=["The figures may be looked at, but nothing follows from them."])
    return Table(
        title=WHAT_TO_RUN,
        columns=["workload", "run", "slots", "sure", "why"],
        rows=[[each.workload, *_cells(each.recommendation, summary)] for each in workloads],
        note=" ".join(_advice(workloads)),
        words=["run", "slots", "sure", "why"],
        large=True,
    )


WHAT_TO_RUN = "What to run"


def _ordered(summary: Summary) -> list[WorkloadSummary]:
    """Return the workloads, and first the mix of all tasks of an own app, for which one pool would have to do."""
    app = summary.settings.app
    return sorted(summary.workloads, key=lambda each: app is not None and each.workload in app.shares)


def _cells(chosen: Recommendation, summary: Summary) -> list[str]:
    if chosen.lane is None:
        return [NO_LANE, NONE, chosen.sure, chosen.why]
    pools = [lane.pool for lane in summary.settings.lanes]
    # Two lanes of one pool are told apart by their keys.
    name = str(chosen.pool) if pools.count(str(chosen.pool)) == 1 else chosen.lane
    nodes = f"{chosen.nodes} x " if (chosen.nodes or 1) > 1 else ""
    transport = ", atomic" if chosen.transport == ATOMIC else ""
    return [f"{name}{transport}", f"{nodes}{chosen.concurrency}", chosen.sure, chosen.why]


def _advice(workloads: Sequence[WorkloadSummary]) -> Iterator[str]:
    """Yield what to do about the workloads without a lane."""
    without = [each for each in workloads if each.recommendation.lane is None and each.recommendation.advice]
    for advice, those in groupby(without, key=lambda each: each.recommendation.advice):
        yield f"{', '.join(each.workload for each in those)}: {advice}."


def given_up(summary: Summary) -> Iterator[Prose]:
    """Yield what each recommended pool cannot do, and before that what of the app's own settings."""
    chosen = [workload.recommendation for workload in summary.workloads]
    for pool, lines in {each.pool: each.gives_up for each in chosen if each.pool}.items():
        ratio = max((each.memory_ratio or 0.0 for each in chosen if each.pool == pool), default=0.0)
        measured = [_with_memory(line, ratio) for line in lines]
        lost = [*settings_given_up(summary, pool), *measured]
        yield Prose(title=f"What you give up with {pool}", lines=lost, first=MATTER)


def _with_memory(line: str, ratio: float) -> str:
    """Add to the sentence on memory, if it is that, how much more was measured."""
    if not line.startswith("memory") or ratio <= HEAVIER:
        return line
    return f"{line}; {number(ratio, 2)} times as much as on the lightest lane"


def taken_on(summary: Summary) -> str:
    """Return how much is settled, if not everything is."""
    found = _all(summary)
    settled = sum(verdict.settled for verdict in found)
    answered = all(workload.recommendation.sure == "settled" for workload in summary.workloads)
    if not found or (answered and settled == len(found)):
        return ""
    return f"{settled} of {len(found)} comparisons are settled."


def capacity(summary: Summary) -> Table:
    """Return completion rates over a backlog, side by side."""
    lanes = [lane.key for lane in summary.lanes]
    # More than one pair does not fit beside the rates; the verdicts further down name them all.
    pairs = list(combinations(lanes, 2)) if len(lanes) == 2 else []
    return Table(
        title="Capacity: jobs per second over a backlog, median of the trials",
        columns=["workload", *lanes, *(column for a, b in pairs for column in (f"{a} / {b}", "verdict"))],
        rows=[_capacity_row(workload, lanes, pairs) for workload in summary.workloads],
        note=interval_note(_all(summary)) if pairs else "",
        words=["verdict"],
    )


def _capacity_row(workload: WorkloadSummary, lanes: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    rates = [_rate(workload, lane) for lane in lanes]
    return [workload.workload, *rates, *_verdict_cells(workload, "capacity", pairs)]


def _rate(workload: WorkloadSummary, lane: str) -> str:
    result = workload.result_on(lane)
    return number(result.capacity_per_s.median if result and result.capacity_per_s else None)


def _verdict_cells(workload: WorkloadSummary, measure: Measure, pairs: Sequence[tuple[str, str]]) -> list[str]:
    found = {(v.a, v.b): v for v in workload.verdicts if v.measure == measure}
    verdicts = [found.get(pair) for pair in pairs]
    cells = [[ratio(each.ratio, each.low, each.high), told(each)] if each else [NONE, NONE] for each in verdicts]
    return [cell for two in cells for cell in two]


def verdicts(summary: Summary) -> Prose:
    """Return every verdict as a sentence."""
    lines = [f"{each.workload}, {each.measure}: {_sentences(explained(each), each.advice)}" for each in _all(summary)]
    return Prose(title="Verdict", lines=lines)


def _all(summary: Summary) -> list[Verdict]:
    return [verdict for workload in summary.workloads for verdict in workload.verdicts]


def _sentences(*clauses: str | None) -> str:
    """Return clauses as sentences, without capitals: they may begin with a lane's name."""
    return " ".join(f"{clause}." for clause in clauses if clause)


RACE = ReportKind(name="race", asked=asked, parts=race_parts, answer=race_answer, taken_on=taken_on)
