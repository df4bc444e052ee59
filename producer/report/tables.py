"""Tables that more than one kind of report has."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from producer.report.formats import NONE, count, interval, mebibytes, milliseconds, number, percent, seconds
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.analysis.lane_facts import LaneFacts
    from producer.analysis.percentiles import Percentiles
    from producer.analysis.price import Price
    from producer.analysis.results import LaneResult
    from producer.analysis.summary import Summary

PERCENTILES = ("p50", "p90", "p99", "p99.9")
INTERVALS = "In brackets the 95 % interval of each percentile; - where jobs or trials are too few to say."
STAGES = ("sojourn", "sojourn_from_sent", "publish_lag", "broker_wait", "slot_wait", "service")


def latency(summary: Summary) -> Table:
    """Return sojourn times at the held rate, a row a workload and lane; without percentiles that no lane can tell."""
    names = [name for name in PERCENTILES if any(map(partial(_tells, name=name), results(summary)))]
    return Table(
        title="Latency: from due to finished at a held arrival rate, in ms",
        columns=["workload", "lane", "rate/s", *names, "max", "jobs"],
        rows=[_latency_row(result, names) for result in results(summary)],
        note=INTERVALS,
    )


def _tells(result: LaneResult, name: str) -> bool:
    """Check whether a lane's sojourn times tell a percentile from the largest of them."""
    sojourn = result.latency.sojourn if result.latency else None
    return sojourn is not None and not sojourn.is_maximum(name)


def _latency_row(result: LaneResult, names: Sequence[str]) -> list[str]:
    sojourn = result.latency.sojourn if result.latency else None
    cells = [percentile_cell(sojourn, name) for name in names]
    most, jobs = (milliseconds(sojourn.max), count(sojourn.n)) if sojourn else (NONE, NONE)
    return [result.workload, result.lane, number(result.rate_per_s), *cells, most, jobs]


def corrected(summary: Summary) -> Table:
    """
    Return where the time went, and what a tool that forgets its own lateness would have said.

    It is that of the rarest percentile, up to p99, that every lane can tell.
    """
    known = [result for result in results(summary) if result.latency and result.latency.sojourn]
    told = (name for name in ("p99", "p90") if all(map(partial(_tells, name=name), known)))
    name = next(told, "p50")
    return Table(
        title=f"Where the {name} comes from, each stage on its own, in ms",
        columns=["workload", "lane", "from due", "from sent", "publish lag", "in broker", "waits for slot", "runs"],
        rows=[
            [result.workload, result.lane, *(_stage_cell(result, stage, name) for stage in STAGES)]
            for result in results(summary)
        ],
        note="From due counts the generator's own lateness, from sent hides it.",
    )


def _stage_cell(result: LaneResult, stage: str, name: str) -> str:
    return value_cell(result.latency.stage(stage) if result.latency else None, name)


def cost(summary: Summary) -> Table:
    """Return what a lane costs, whatever its jobs do."""
    rows = [
        [
            lane.key,
            mebibytes(lane.memory_per_slot_bytes),
            seconds(lane.ready_s),
            lane.gil_in_slots or NONE,
            *_pings(summary, lane.key),
        ]
        for lane in summary.lanes
    ]
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
    pings = [result.ping for result in results(summary) if result.lane == lane and result.ping]
    if not pings:
        return [NONE] * 3
    return [
        milliseconds(max((ping.p50_s for ping in pings if ping.p50_s is not None), default=None)),
        milliseconds(max((ping.max_s for ping in pings if ping.max_s is not None), default=None)),
        count(sum(ping.sent - ping.answered for ping in pings)),
    ]


def per_job(summary: Summary) -> Table:
    """Return CPU per job: what the job's own thread used, and what the whole node used for it."""
    price = summary.price
    return Table(
        title="CPU per job, in ms",
        columns=[
            "workload",
            "lane",
            "the job itself",
            "whole node, backlog",
            "whole node, held rate",
            *([money_of_a_million(price)] if price else []),
        ],
        rows=[_per_job_row(result, price) for result in results(summary)],
        note=f"{PRICED.format(price_of(price))}." if price else "",
    )


def _per_job_row(result: LaneResult, price: Price | None) -> list[str]:
    cpu = result.backlog.cpu if result.backlog else None
    return [
        result.workload,
        result.lane,
        milliseconds(cpu.mean if cpu else None),
        milliseconds(result.backlog_cpu_s_per_job),
        milliseconds(result.latency_cpu_s_per_job),
        *([number(result.money_per_million_jobs)] if price else []),
    ]


PRICED = "Money is CPU time at {} a core-hour: what is paid for and idles costs more"


def price_of(price: Price) -> str:
    """Return the price of a core-hour, with its currency."""
    return f"{number(price.core_hour)} {price.currency}".rstrip()


def money_of_a_million(price: Price) -> str:
    """Return the name of a column of money."""
    return f"{price.currency} a million jobs".lstrip()


def results(summary: Summary) -> Iterator[LaneResult]:
    """Yield every workload's figures on each of its lanes."""
    for workload in summary.workloads:
        yield from workload.lanes


def percentile_cell(found: Percentiles | None, name: str) -> str:
    """Return a percentile in ms with its interval; nothing where it would be the maximum again."""
    if found is None or found.is_maximum(name):
        return NONE
    return f"{milliseconds(found.statistic(name))} {interval(*map(milliseconds, found.interval(name)))}"


def value_cell(found: Percentiles | None, name: str) -> str:
    """Return a percentile in ms, without its interval."""
    return NONE if found is None or found.is_maximum(name) else milliseconds(found.statistic(name))


def cpu_limits(summary: Summary) -> Iterator[Table]:
    """Yield how often the kernel stopped nodes because of their CPU limits; nothing where they have none."""
    limited = [each for each in results(summary) if (each.backlog_throttled, each.latency_throttled) != (None, None)]
    allowed = {lane.key: _cpu_limit(lane) for lane in summary.lanes}
    if limited:
        yield Table(
            title="CPU limits: the part of their periods in which nodes were throttled",
            columns=["workload", "lane", "cores a node", "nodes", "backlog", "held rate"],
            rows=[
                [
                    each.workload,
                    each.lane,
                    number(allowed[each.lane]),
                    count(next(lane.nodes for lane in summary.lanes if lane.key == each.lane)),
                    percent(each.backlog_throttled),
                    percent(each.latency_throttled),
                ]
                for each in limited
            ],
            note="A node that has used up its limit stands still until the next period of a tenth of a second begins, "
            "with all its slots. Over a backlog of jobs that compute that is what a limit does; at a held rate it is "
            "latency.",
        )


def _cpu_limit(lane: LaneFacts) -> float | None:
    """Return the cores' worth of CPU time that a node of a lane finds to be its limit."""
    limits: Mapping[str, float | None] = (lane.hello or {}).get("limits", {})
    return limits.get("cpu_quota")


def clocks(summary: Summary) -> Iterator[Table]:
    """Yield the clocks of nodes; nothing where all have the broker's, on one host."""
    if summary.clocks:
        yield Table(
            title="By node: its clock beside the broker's, in ms",
            columns=["node", "round trip", "offset", "known to", "drift over the run", "known to"],
            rows=[
                [
                    each.node,
                    milliseconds(each.round_trip_s),
                    milliseconds(each.offset_s),
                    milliseconds(each.bound_s),
                    milliseconds(each.drift_s),
                    milliseconds(each.drift_bound_s),
                ]
                for each in summary.clocks
            ],
            note="Offset: the broker's clock minus the node's. A node's instants are moved by it if it is "
            "more than it is known to.",
        )


def distances(summary: Summary) -> Iterator[Table]:
    """Yield how far lanes were from the broker, and what their relays cost; nothing where no distance was asked for."""
    if summary.distances:
        yield Table(
            title="Distance to the broker, in ms",
            columns=["lane", "asked", "PING", "without the relay", "chunks", "CPU us a chunk", "late p50", "late p99"],
            rows=[
                [
                    each.lane,
                    milliseconds(each.rtt_s),
                    milliseconds(each.ping_s),
                    milliseconds(each.direct_s),
                    count(each.chunks),
                    number(each.cpu_s * 1e6 / each.chunks if each.cpu_s is not None and each.chunks else None),
                    milliseconds(each.late_p50_s),
                    milliseconds(each.late_p99_s),
                ]
                for each in summary.distances
            ],
            note="A PING is the median of several before the lane's nodes started. Late is how much longer than half a "
            "round trip the relay held a chunk; its CPU time is taken from the machine, and is in no lane's figures.",
        )
