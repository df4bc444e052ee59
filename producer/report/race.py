"""The report of a race: capacity, latency, cost, verdicts and what to run."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from poolrace.transport_setting import ATOMIC
from producer.report.answer import answer_parts
from producer.report.formats import NONE, number, ratio
from producer.report.kind import ReportKind
from producer.report.parts import Prose, Table
from producer.report.tables import corrected, cost, latency, per_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.pairs import Measure
    from producer.analysis.recommendation import Recommendation
    from producer.analysis.summary import Summary
    from producer.analysis.verdict import Verdict
    from producer.analysis.workload import WorkloadSummary
    from producer.plan.run_settings import RunSettings


def race_parts(summary: Summary) -> Iterator[Table | Prose]:
    """Yield what a race found."""
    yield capacity(summary)
    yield latency(summary)
    yield corrected(summary)
    yield cost(summary)
    yield per_job(summary)
    yield verdicts(summary)
    yield from given_up(summary)
    yield recommendations(summary)
    yield from answer_parts(summary)


def asked(settings: RunSettings) -> str:
    """Return what was done, in a few words."""
    assert settings.race
    return f"{settings.race.pairs} pairs of trials a workload"


def capacity(summary: Summary) -> Table:
    """Return completion rates over a backlog, side by side."""
    lanes = [lane.key for lane in summary.lanes]
    # More than one pair does not fit beside the rates; the verdicts further down name them all.
    pairs = list(combinations(lanes, 2)) if len(lanes) == 2 else []
    return Table(
        title="Capacity: jobs per second over a backlog, median of the trials",
        columns=["workload", *lanes, *(column for a, b in pairs for column in (f"{a} / {b}", "verdict"))],
        rows=[_capacity_row(workload, lanes, pairs) for workload in summary.workloads],
        note="Ratio with its 95 % interval, from paired trials." if pairs else "",
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
    cells = [[ratio(each.ratio, each.low, each.high), each.word] if each else [NONE, NONE] for each in verdicts]
    return [cell for two in cells for cell in two]


def verdicts(summary: Summary) -> Prose:
    """Return every verdict as a sentence."""
    found = [verdict for workload in summary.workloads for verdict in workload.verdicts]
    lines = [f"{_measured(each)}: {_sentences(each.word, each.reason, each.advice)}" for each in found]
    return Prose(title="Verdict", lines=lines)


def _measured(verdict: Verdict) -> str:
    percentile = f" {verdict.percentile}" if verdict.percentile else ""
    return f"{verdict.workload}, {verdict.measure}{percentile}"


def _sentences(*clauses: str | None) -> str:
    """Return clauses as sentences, without capitals: they may begin with a lane's name."""
    return " ".join(f"{clause}." for clause in clauses if clause)


def recommendations(summary: Summary) -> Prose:
    """Return what to run, workload by workload."""
    lines, commands = [], []
    for workload in summary.workloads:
        chosen = workload.recommendation
        if chosen.command is None:
            why = _sentences(f"no recommendation: {chosen.why}", chosen.advice)
            lines.append(f"{workload.workload}: {why}")
        else:
            lines.append(f"{workload.workload}: {_chosen(chosen)}; {chosen.why}.")
            commands.append(chosen.command)
    return Prose(title="What to run", lines=lines, commands=list(dict.fromkeys(commands)))


def _chosen(chosen: Recommendation) -> str:
    nodes = f"{chosen.nodes} nodes of " if (chosen.nodes or 1) > 1 else ""
    transport = " and the atomic transport" if chosen.transport == ATOMIC else ""
    return f"{chosen.pool} with {nodes}{chosen.concurrency} slots{transport}"


def given_up(summary: Summary) -> Iterator[Prose]:
    """Yield what each recommended pool cannot do."""
    chosen = [workload.recommendation for workload in summary.workloads]
    for pool, lines in {each.pool: each.gives_up for each in chosen if each.pool}.items():
        yield Prose(title=f"What you give up with {pool}", lines=lines)


RACE = ReportKind(name="race", asked=asked, parts=race_parts)
