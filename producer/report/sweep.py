"""The report of a sweep: every value on each lane, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.analysis.sureness import told
from producer.analysis.usl import LEAST_VALUES
from producer.report.formats import mebibytes, milliseconds, number, percent, ratio
from producer.report.intervals import interval_note
from producer.report.kind import ReportKind
from producer.report.parts import Prose, Table
from producer.report.tables import INTERVALS, clocks, cpu_limits, distances, percentile_cell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.summary import Summary
    from producer.analysis.sweep import Crossover, Finding, LaneAtDistance, SweepLane, SweepSummary
    from producer.analysis.usl import Estimate, Law
    from producer.plan.run_settings import RunSettings


def sweep_parts(summary: Summary) -> Iterator[Table | Prose]:
    """Yield every value on each lane, the lanes against each other, and what follows."""
    sweep = summary.sweep
    assert sweep
    if sweep.distance:
        yield kept_at_distance(sweep.distance)
    yield values(sweep)
    if any(point.verdicts for point in sweep.points):
        yield against(sweep)
    yield from cpu_limits(summary)
    yield from distances(summary)
    yield from clocks(summary)
    cores = summary.machine.cores_available if summary.machine else None
    if not sweep.distance:  # whose table says it all
        yield Prose(title="What that means", lines=list(_sentences(sweep, cores)))


def asked(settings: RunSettings) -> str:
    """Return what was done, in a few words."""
    assert settings.race
    assert settings.sweep
    tried = ", ".join(point.value for point in settings.sweep.points)
    return f"{settings.workloads[0]} jobs over {settings.sweep.axis} {tried}, {settings.race.pairs} pairs at each"


def values(sweep: SweepSummary) -> Table:
    """Return what each lane did at each value."""
    lanes = dict.fromkeys(row.lane for point in sweep.points for row in point.lanes)
    far = sweep.distance is not None
    ping = ["PING ms"] if far else []
    return Table(
        title=f"Over {sweep.axis}: capacity, and sojourn in ms at the held rate",
        columns=["lane", sweep.axis, *ping, "capacity/s", "rate/s", "p50", "p99", "memory", "CPU ms a job"],
        rows=[
            _value_row(point.value, row, far=far)
            for lane in lanes
            for point in sweep.points
            for row in point.lanes
            if row.lane == lane
        ],
        note="Memory is that of all nodes of a lane (PSS). The rate held at a value is the same for all lanes. "
        f"{INTERVALS}",
    )


def kept_at_distance(lanes: Sequence[LaneAtDistance]) -> Table:
    """Return what each lane keeps of its capacity where it is farthest from the broker."""
    return Table(
        title="Capacity that is kept at a distance from the broker",
        columns=["lane", "near: PING ms", "jobs/s", "far: PING ms", "jobs/s there", "kept", "jobs a round trip"],
        rows=[
            [
                each.lane,
                milliseconds(each.near_ping_s),
                number(each.near_per_s),
                milliseconds(each.far_ping_s),
                number(each.far_per_s),
                percent(each.kept),
                number(each.jobs_a_round_trip),
            ]
            for each in lanes
        ],
        note="Medians of the trials, and the measured PING.",
    )


def _value_row(value: str, row: SweepLane, *, far: bool) -> list[str]:
    return [
        row.lane,
        value,
        *([milliseconds(row.ping_s)] if far else []),
        number(row.capacity_per_s.median if row.capacity_per_s else None),
        number(row.rate_per_s),
        percentile_cell(row.sojourn, "p50"),
        percentile_cell(row.sojourn, "p99"),
        mebibytes(row.memory_bytes),
        milliseconds(row.cpu_s_per_job),
    ]


def against(sweep: SweepSummary) -> Table:
    """Return the lanes against each other at each value."""
    return Table(
        title="Lane against lane at each value",
        columns=[sweep.axis, "measure", "lanes", "ratio", "verdict"],
        rows=[
            [point.value, each.measure, f"{each.a} / {each.b}", ratio(each.ratio, each.low, each.high), told(each)]
            for point in sweep.points
            for each in point.verdicts
        ],
        note=interval_note([each for point in sweep.points for each in point.verdicts]),
    )


def _sentences(sweep: SweepSummary, cores: int | None) -> Iterator[str]:
    if sweep.crossover:
        yield _crossover(sweep.crossover)
    for found in sweep.findings:
        yield _finding(found, sweep)
    for lane in sweep.scaling or ():
        yield scaling_sentence(lane.lane, lane.law)
    if sweep.scaling:
        yield _one_machine(cores)


def _crossover(found: Crossover) -> str:
    held, lost = found.threads_hold_to, found.prefork_wins_from
    if lost is None and held is None:
        return "No share that was tried has a verdict on capacity between the pools. Use more --pairs."
    one_core, many_cores = " and ".join(found.one_core), " and ".join(found.many_cores)
    if lost is None:
        return f"{one_core}: keeps up to a CPU share of {held:g}; at none that was tried does {many_cores} do more."
    kept = "keeps up at no lower share that was tried" if held is None else f"keeps up to a CPU share of {held:g}"
    return f"{one_core}: {kept}; from a CPU share of {lost:g} on {many_cores} does more."


def scaling_sentence(lane: str, law: Law | None) -> str:
    """Return what the law says of a lane, within what was measured."""
    if law is None:
        return f"{lane}: no scaling fit: measure at least {LEAST_VALUES} node counts, ideally including 1."
    return (
        f"{lane}: one node does {number(law.one_node_per_s)}/s; of the work {_estimate(law.contention)} is done by "
        f"one node at a time (contention), and each pair of nodes costs {_estimate(law.coherency)} more (coherency); "
        f"{_peak(law)}."
    )


def _peak(law: Law) -> str:
    if law.misfit is not None:
        return (
            f"but these values do not follow the law, which is off by up to {percent(law.misfit)}, more than their "
            "trials differ: no peak is named"
        )
    if law.peak is None and law.has_a_peak:
        return f"throughput peaks beyond the {law.largest} nodes that were measured, and nothing is said of where"
    if law.peak is None:
        return (
            f"no peak is shown by these values, and nothing is said beyond the {law.largest} nodes that were measured"
        )
    low, high = law.peak.low, law.peak.high
    assert low is not None
    ends = f"{low:.1f} or more" if high is None else f"{low:.1f} to {high:.1f}"
    return f"throughput peaks at about {law.peak.value:.1f} nodes ({ends})"


def _estimate(found: Estimate) -> str:
    if found.low is None:
        return f"{found.value:.3f} (no interval from so few trials: use more --pairs)"
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _one_machine(cores: int | None) -> str:
    return (
        f"All nodes shared the {f'{cores} ' if cores else ''}cores of this machine, with the broker and what sends: "
        "that is how it scales, and more machines may scale further."
    )


def _finding(found: Finding, sweep: SweepSummary) -> str:
    if found.best is None:
        return f"{found.lane}: no value was measured to the end."
    most = f"{found.lane}: the most at {sweep.axis} {found.best}"
    knee = f", the knee at {found.knee} (95 % of the most)" if found.knee else ""
    bound = sweep.memory_bytes
    if bound is None:
        return f"{most}{knee}."
    if not found.fits:
        return f"{most}{knee}; no value fits into {mebibytes(bound)}."
    return f"{most}{knee}; take {found.recommended} in {mebibytes(bound)}, where {', '.join(found.fits)} fit."


SWEEP = ReportKind(name="sweep", asked=asked, parts=sweep_parts)
