"""The report of a search for the limit: the bracket of each lane, and every probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.plan.mix import mix_text
from producer.report.formats import NONE, count, milliseconds, number
from producer.report.kind import Check, ReportKind
from producer.report.parts import Prose, Table
from producer.report.tables import cost, value_cell
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from producer.analysis.limit import LimitLane, LimitSummary, Probe
    from producer.analysis.summary import Summary
    from producer.plan.run_settings import RunSettings

KINDS = {Kind.PROBE: "probe", Kind.CONFIRMATION: "repeat"}
PROBE_COLUMNS = (
    "lane", "kind", "rate/s", "came", "finished/s", "p50", "p99", "max", "wait grew", "lag p99", "jobs", "given up",
)  # fmt: skip


def limit_parts(summary: Summary) -> Iterator[Table | Prose]:
    """Yield the limits side by side, what follows, and every probe."""
    found, options = summary.limit, summary.settings.limit
    assert found
    assert options
    yield limits(found)
    slo = ", ".join(options.slo)
    yield Prose(title="What that means", lines=[_sentence(lane, slo) for lane in found.lanes])
    yield probes(found)
    yield cost(summary)


def asked(settings: RunSettings) -> str:
    """Return what was done, in a few words."""
    options = settings.limit
    assert options
    return f"probes of {options.probe_s:g} s of {mix_text(options.mix)}, {', '.join(options.slo)}"


def limits(found: LimitSummary) -> Table:
    """Return the bracket of each lane."""
    return Table(
        title="Limit: the highest arrival rate held, in jobs per second",
        columns=["lane", "held", "broke at", "confirmed", "probes", "broken by"],
        rows=[
            [
                lane.lane,
                number(lane.held_per_s),
                number(lane.broke_per_s),
                "yes" if lane.confirmed else "no",
                str(len(lane.probes)),
                lane.broken_by or NONE,
            ]
            for lane in found.lanes
        ],
        note="The limit lies between held and broke at; held was repeated with other arrivals.",
    )


def _sentence(lane: LimitLane, slo: str) -> str:
    held, broke, name = lane.held_per_s, lane.broke_per_s, lane.lane
    if held is None:
        least = min((probe.rate_per_s for probe in lane.probes), default=None)
        return (
            f"{name}: no rate down to {number(least)}/s keeps {slo}. Ask for less, give jobs less work, or the lane "
            "more slots."
        )
    if not lane.confirmed:
        return f"{name}: holds about {number(held)}/s, not confirmed: the search ended before a repeat passed."
    if broke is None:
        return f"{name}: holds {number(held)}/s, the highest rate that is probed. Its limit lies above."
    return f"{name}: holds {number(held)}/s with {slo}, and breaks at {number(broke)}/s."


def probes(found: LimitSummary) -> Table:
    """Return every probe, in the order in which they were made."""
    made = sorted(((probe, lane.lane) for lane in found.lanes for probe in lane.probes), key=lambda each: each[0].trial)
    return Table(
        title="Probes: sojourn in ms",
        columns=PROBE_COLUMNS,
        rows=[_probe_row(lane, probe) for probe, lane in made],
        note="Given up: could not pass any more. Wait grew: from first to last quarter; by more than a job, it fails.",
    )


def _probe_row(lane: str, probe: Probe) -> list[str]:
    return [
        lane,
        KINDS[probe.kind],
        number(probe.rate_per_s),
        "passed" if probe.passed else "FAILED",
        number(probe.finished_per_s),
        *(value_cell(probe.latency.sojourn, name) for name in ("p50", "p99")),
        milliseconds(probe.statistic("sojourn", "max")),
        milliseconds(probe.growth_s),
        value_cell(probe.latency.publish_lag, "p99") + (" late" if probe.late else ""),
        count(probe.settlement.sent),
        NONE if probe.given_up_s is None else f"{probe.given_up_s:.0f} s",
    ]


def checks(summary: Summary) -> Iterator[Check]:
    """Yield for each lane whether its limit was found."""
    assert summary.limit
    for lane in summary.limit.lanes:
        unsure = f"held {lane.held_per_s}, broke at {lane.broke_per_s}, in jobs per second"
        yield Check(name="its limit is found and confirmed", lane=lane.lane, failure="" if lane.confirmed else unsure)


LIMIT = ReportKind(name="limit", asked=asked, parts=limit_parts, checks=checks)
