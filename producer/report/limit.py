"""The report of a search for the limit: where that of each lane lies, and every probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.plan.mix import mix_text
from producer.report.formats import NONE, count, milliseconds, number, percent
from producer.report.kind import Check, ReportKind
from producer.report.parts import Prose, Table
from producer.report.tables import clocks, cost, distances, value_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from producer.analysis.limit import LimitLane, LimitSummary, Probe
    from producer.analysis.summary import Summary
    from producer.plan.run_settings import LimitOptions, RunSettings

PROBE_COLUMNS = (
    "lane", "rate/s", "came", "finished/s", "p50", "p99", "max", "wait grew", "lag p99", "jobs", "given up",
)  # fmt: skip


def limit_parts(summary: Summary) -> Iterator[Table | Prose]:
    """Yield what each lane holds, the limits side by side, and every probe."""
    found, options = summary.limit, summary.settings.limit
    assert found
    assert options
    yield Prose(title="What each lane holds", lines=[_sentence(lane, options) for lane in found.lanes])
    yield limits(found)
    yield probes(found)
    yield cost(summary)
    yield from distances(summary)
    yield from clocks(summary)


def asked(settings: RunSettings) -> str:
    """Return what was done, in a few words."""
    options = settings.limit
    assert options
    return f"probes of {options.probe_s:g} s of {mix_text(options.mix)}, {', '.join(options.slo)}"


def limits(found: LimitSummary) -> Table:
    """Return the limit of each lane with its interval."""
    return Table(
        title="Limit: the highest arrival rate held, in jobs per second",
        columns=["lane", "limit", "from", "to", "probes", "passed", "broken by"],
        rows=[
            [
                lane.lane,
                number(lane.limit_per_s),
                number(lane.low_per_s),
                number(lane.high_per_s),
                str(len(lane.probes)),
                str(sum(probe.passed for probe in lane.probes)),
                lane.broken_by or NONE,
            ]
            for lane in found.lanes
        ],
        note=(
            "From and to are the 90 % interval of the limit, by all probes. At the limit itself two of five probes "
            "fail; where the SLO has to be kept at all times, plan with less than from."
        ),
    )


def _sentence(lane: LimitLane, options: LimitOptions) -> str:
    slo, name = ", ".join(options.slo), lane.lane
    if lane.low_per_s is None:
        return (
            f"{name}: no rate down to {number(lane.high_per_s)}/s keeps {slo}. Ask for less, give jobs less work, or "
            "the lane more slots."
        )
    if lane.limit_per_s is None:
        return f"{name} holds {number(lane.low_per_s)}/s with {slo}, the most that was probed; its limit lies above."
    return (
        f"{name} holds {number(lane.limit_per_s)}/s with {slo}; the limit lies between {number(lane.low_per_s)} and "
        f"{number(lane.high_per_s)}/s (90 %).{_why_wide(lane, options)}"
    )


def _why_wide(lane: LimitLane, options: LimitOptions) -> str:
    """Return why an interval is wider than was asked, and what to do; empty if it is not."""
    if lane.width is None or lane.width <= options.precision:
        return ""
    return (
        f" That is {percent(lane.width)} wide, and {percent(options.precision)} was asked: near the limit probes pass "
        "and fail by chance. Use a longer --probe, or more --probes."
    )


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
    """Yield for each lane whether it holds any rate."""
    assert summary.limit
    for lane in summary.limit.lanes:
        failure = "" if lane.holds_a_rate else f"no rate down to {number(lane.high_per_s)}/s keeps the SLO"
        yield Check(name="it holds a rate with the SLO", lane=lane.lane, failure=failure)


LIMIT = ReportKind(name="limit", asked=asked, parts=limit_parts, checks=checks)
