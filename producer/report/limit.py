"""What a report of a search for the limit says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.report.formats import NONE, count, milliseconds, number
from producer.report.parts import Prose, Table
from producer.report.tables import Summary, cost, get

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def limit_parts(summary: Summary) -> Iterator[Table | Prose]:
    """The limits side by side, what follows, and every probe."""
    yield limits(summary)
    yield Prose(title="What that means", lines=[_sentence(lane, summary) for lane in summary["limit"]])
    yield probes(summary)
    yield cost(summary)


def limits(summary: Summary) -> Table:
    """The bracket of each lane."""
    rows = [
        [
            lane["lane"], number(lane["held_per_s"]), number(lane["broke_per_s"]),
            "yes" if lane["confirmed"] else "no", str(len(lane["probes"])), lane["broken_by"] or NONE,
        ]
        for lane in summary["limit"]
    ]  # fmt: skip
    return Table(
        title="Limit: the highest arrival rate held, in jobs per second",
        columns=["lane", "held", "broke at", "confirmed", "probes", "broken by"],
        rows=rows,
        note="The limit lies between held and broke at; held was repeated with other arrivals.",
    )


def _sentence(lane: Mapping[str, Any], summary: Summary) -> str:
    slo = ", ".join(summary["settings"]["slo"])
    held, broke, name = lane["held_per_s"], lane["broke_per_s"], lane["lane"]
    if held is None:
        least = min((probe["rate_per_s"] for probe in lane["probes"]), default=None)
        return (
            f"{name}: no rate down to {number(least)}/s keeps {slo}. Ask for less, give jobs less work, or the lane "
            "more slots."
        )
    if not lane["confirmed"]:
        return f"{name}: holds about {number(held)}/s, not confirmed: the search ended before a repeat passed."
    if broke is None:
        return f"{name}: holds {number(held)}/s, the highest rate that is probed. Its limit lies above."
    return f"{name}: holds {number(held)}/s with {slo}, and breaks at {number(broke)}/s."


KINDS = {"probe": "probe", "confirmation": "repeat"}


def probes(summary: Summary) -> Table:
    """Every probe, in the order in which they were made."""
    found = sorted(
        ((probe["trial"], lane["lane"], probe) for lane in summary["limit"] for probe in lane["probes"]),
        key=lambda each: each[0],
    )
    rows = [
        [
            lane, KINDS[probe["kind"]], number(probe["rate_per_s"]), "passed" if probe["passed"] else "FAILED",
            number(probe["finished_per_s"]),
            *(milliseconds(get(probe, "latency", "sojourn", name)) for name in ("p50", "p99", "max")),
            milliseconds(probe["growth_s"]),
            milliseconds(get(probe, "latency", "publish_lag", "p99")) + (" late" if probe["late"] else ""),
            count(probe["settlement"]["sent"]),
            NONE if probe["given_up_s"] is None else f"{probe['given_up_s']:.0f} s",
        ]
        for _, lane, probe in found
    ]  # fmt: skip
    return Table(
        title="Probes: sojourn in ms",
        columns=[
            "lane",
            "kind",
            "rate/s",
            "came",
            "finished/s",
            "p50",
            "p99",
            "max",
            "wait grew",
            "lag p99",
            "jobs",
            "given up",
        ],
        rows=rows,
        note="Given up: could not pass any more. Wait grew: from first to last quarter; by more than a job, it fails.",
    )
