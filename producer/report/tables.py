"""Tables that more than one kind of report has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from producer.analysis.percentiles import FIRM_BEYOND, values_beyond
from producer.report.formats import NONE, count, mebibytes, milliseconds, number, seconds
from producer.report.parts import Table

Summary = Mapping[str, Any]

UNSURE = "~"
PERCENTILES = ("p50", "p90", "p99", "p99_9")


def latency(summary: Summary) -> Table:
    """Sojourn times at the held rate, a row a workload and lane."""
    rows = []
    for workload, result in results(summary):
        sojourn = get(result, "latency", "sojourn")
        cells = [percentile_cell(sojourn, name) for name in PERCENTILES]
        rows.append([
            workload["workload"], result["lane"], number(result["rate_per_s"]), *cells,
            milliseconds(get(sojourn, "max")), count(get(sojourn, "n")),
        ])  # fmt: skip
    return Table(
        title="Latency: from due to finished at a held arrival rate, in ms",
        columns=["workload", "lane", "rate/s", "p50", "p90", "p99", "p99.9", "max", "jobs"],
        rows=rows,
        note=f"{UNSURE} marks a percentile with fewer than {FIRM_BEYOND} jobs beyond it: take it as a hint.",
    )


def corrected(summary: Summary) -> Table:
    """Where the time went, and what a tool that forgets its own lateness would have said."""
    rows = []
    for workload, result in results(summary):
        found = result["latency"] or {}
        stretches = ("sojourn", "sojourn_from_sent", "publish_lag", "broker_wait", "slot_wait", "service")
        rows.append([
            workload["workload"], result["lane"],
            *(milliseconds(get(found, name, "p99")) for name in stretches),
        ])  # fmt: skip
    return Table(
        title="Where the p99 comes from, each stretch by itself, in ms",
        columns=["workload", "lane", "from due", "from sent", "publish lag", "in broker", "waits for slot", "runs"],
        rows=rows,
        note="From due counts the generator's own lateness, from sent hides it.",
    )


def cost(summary: Summary) -> Table:
    """What a lane takes, whatever it does."""
    rows = [
        [
            lane["key"], mebibytes(lane["memory_per_slot_bytes"]), seconds(lane["ready_s"]),
            lane["gil_in_slots"] or NONE, *_pings(summary, lane["key"]),
        ]
        for lane in summary["lanes"]
    ]  # fmt: skip
    return Table(
        title="What a lane costs",
        columns=[
            "lane",
            "memory per slot (PSS)",
            "start to ready",
            "GIL in slots",
            "ping p50",
            "ping max",
            "no answer",
        ],
        rows=rows,
        note="Control pings while a backlog is worked off, in ms; the worst workload.",
    )


def _pings(summary: Summary, lane: str) -> list[str]:
    pings = [result["ping"] for _, result in results(summary) if result["lane"] == lane and result["ping"]]
    if not pings:
        return [NONE] * 3
    unanswered = sum(ping["sent"] - ping["answered"] for ping in pings)
    return [
        milliseconds(max((ping["p50_s"] for ping in pings if ping["p50_s"] is not None), default=None)),
        milliseconds(max((ping["max_s"] for ping in pings if ping["max_s"] is not None), default=None)),
        str(unanswered),
    ]


def per_job(summary: Summary) -> Table:
    """CPU per job: what the job's own thread used, and what the whole node used for it."""
    rows = [
        [
            workload["workload"], result["lane"], milliseconds(get(result, "backlog", "cpu", "mean")),
            milliseconds(result["backlog_cpu_s_per_job"]), milliseconds(result["latency_cpu_s_per_job"]),
            *([number(result["money_per_million_jobs"])] if summary["price"] else []),
        ]
        for workload, result in results(summary)
    ]  # fmt: skip
    return Table(
        title="CPU per job, in ms",
        columns=[
            "workload", "lane", "the job itself", "whole node, backlog", "whole node, held rate",
            *([money_of_a_million(summary)] if summary["price"] else []),
        ],
        rows=rows,
        note=f"{PRICED.format(price_of(summary))}." if summary["price"] else "",
    )  # fmt: skip


PRICED = "Money is CPU time at {} a core-hour: what is paid for and idles costs more"


def price_of(summary: Summary) -> str:
    """The price of a core-hour, with its currency."""
    return f"{number(summary['price']['core_hour'])} {summary['price']['currency']}".rstrip()


def money_of_a_million(summary: Summary) -> str:
    """The name of a column of money."""
    return f"{summary['price']['currency']} a million jobs".lstrip()


def lane_keys(summary: Summary) -> list[str]:
    """Of all lanes, in order."""
    return [lane["key"] for lane in summary["lanes"]]


def results(summary: Summary) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Every workload with each of its lanes."""
    for workload in summary["workloads"]:
        for result in workload["lanes"]:
            yield workload, result


def by_lane(workload: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """A workload's results by lane."""
    return {result["lane"]: result for result in workload["lanes"]}


def get(value: Any, *keys: str) -> Any:
    """What is below some keys; None if any of them is not there."""
    for key in keys:
        value = value.get(key) if value is not None else None
    return value


def percentile_cell(found: Mapping[str, Any] | None, name: str) -> str:
    """A percentile in ms, marked if few values lie beyond it."""
    if found is None:
        return NONE
    unsure = values_beyond(found["n"], name) < FIRM_BEYOND
    return milliseconds(found[name]) + (UNSURE if unsure else "")
