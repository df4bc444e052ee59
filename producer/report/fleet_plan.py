"""The report of a fleet plan: the fleets, how sure they are, the first bottleneck, and what the model does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.analysis.fleet_plan import BROKER_SHARE, FULL, brokers_for
from producer.report.formats import NONE, count, gibibytes, mebibytes, milliseconds, number, percent
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.fleet_answer import FleetAnswer, LaneAnswer
    from producer.analysis.fleet_errors import Compared
    from producer.report.parts import Part

GIB = 2**30
RABBITMQ_S = 175e-6
"""CPU time of RabbitMQ 3.10 for a job, over all its cores, as it was measured for docs/planning.md."""

PAST = {
    "slots": "Another node, or more slots a node (--slots) while jobs wait more than they compute.",
    "cores": "Another node, or nodes with more cores (--node-cores); more slots do not help.",
    "node": "Another node; more slots do not help. The atomic transport takes many messages at once.",
    "broker": "Another broker, with queues of its own.",
}
RESOURCES = {
    "slots": "slots",
    "node": "main process",
    "cores": "cores",
    "broker": "broker",
}

NOT_KNOWN = (
    "Nodes that fail, deploys, bursts beyond the arrivals asked for, a backlog to begin with: add nodes for them.",
    "What nodes share beside the broker (database, API, network), the side that sends, payloads, failures, retries.",
)


def fleet_report(found: FleetAnswer, *, full: bool = False) -> Iterator[Part]:
    """
    Yield the parts of a fleet plan, the answer first.

    Args:
        found: The answer.
        full: Whether every option and input is shown.
    """
    yield _fleets(found)
    impossible = [f"{lane.lane}: {lane.best.why_not}" for lane in found.lanes if lane.best.why_not]
    if impossible:
        yield Prose(title="Not to be had", lines=impossible)
    yield Prose(title="First bottleneck, and the ways past it", lines=list(_bottlenecks(found)))
    yield _errors(found)
    if found.warnings:
        yield Prose(title="Warnings", lines=found.warnings)
    yield Prose(title="What the model does not know", lines=NOT_KNOWN)
    if full:
        yield _options(found)
        yield _inputs(found)


def _fleets(found: FleetAnswer) -> Table:
    distance = "" if found.rtt_s is None else f", {milliseconds(found.rtt_s)} ms from the broker"
    return Table(
        title=(
            f"Fleet for {number(found.rate_per_s)} jobs/s of {found.workload} with {', '.join(found.slo)} "
            f"({found.arrivals} arrivals, nodes of {found.node_cores:g} cores{distance})"
        ),
        columns=["lane", "nodes x slots", "brokers", "p50 ms", "p99 ms", "busiest", "node", "all", "least"],
        rows=[_fleet_row(lane) for lane in found.lanes],
        note=(
            f"Nodes include an allowance for the error below; least: without it. Memory of a node, and of all. No "
            f"resource is used above {percent(FULL)}, no broker above {percent(BROKER_SHARE)} of its core."
        ),
        words=("busiest",),
    )


def _fleet_row(lane: LaneAnswer) -> list[str]:
    best = lane.best
    if best.nodes is None:
        return [lane.lane, "none", NONE, milliseconds(best.p50_s), milliseconds(best.p99_s), NONE, NONE, NONE, NONE]
    busiest = max(best.use, key=lambda name: best.use[name])
    return [
        lane.lane,
        f"{count(best.nodes)} x {best.slots}",
        count(best.brokers),
        milliseconds(best.p50_s),
        milliseconds(best.p99_s),
        f"{RESOURCES[busiest]} {percent(best.use[busiest])}",
        _memory(best.node_bytes),
        _memory(None if best.node_bytes is None else best.node_bytes * best.nodes),
        count(best.least_nodes),
    ]


def _memory(value_bytes: float | None) -> str:
    return gibibytes(value_bytes) if value_bytes and value_bytes >= GIB else mebibytes(value_bytes)


def _bottlenecks(found: FleetAnswer) -> Iterator[str]:
    """Yield what each lane runs out of first, and how to get past a broker's core if one does."""
    able = [lane for lane in found.lanes if lane.best.nodes is not None]
    yield from (_bottleneck(lane) for lane in able)
    yield from _past_the_broker([lane for lane in able if lane.best.first == "broker"], found)


def _bottleneck(lane: LaneAnswer) -> str:
    """Return what a lane runs out of first, and what helps."""
    best, facts = lane.best, lane.facts
    if best.first == "broker" and facts.broker_s and facts.broker_holds_per_s:
        return (
            f"{lane.lane}: the broker. Its one core takes {number(facts.broker_s * 1e6)} us a job (measured), so that "
            f"one holds {number(facts.broker_holds_per_s)} jobs/s at {percent(BROKER_SHARE)}."
        )
    share = best.use.get("broker", 0.0)
    room = f" The broker is at {percent(share)}." if facts.broker_s else ""
    return f"{lane.lane}: {RESOURCES[best.first]}, {percent(best.use[best.first])} used. {PAST[best.first]}{room}"


def _past_the_broker(lanes: Sequence[LaneAnswer], found: FleetAnswer) -> Iterator[str]:
    """Yield the ways past a broker's core, each with its price."""
    if not lanes:
        return
    for lane in lanes:
        best = lane.best
        if best.brokers > 1 and best.nodes:
            yield (
                f"{lane.lane}: split the queues over {count(best.brokers)} brokers: {count(best.brokers)} cores, each "
                f"broker with queues and {count(best.nodes // best.brokers)} nodes of its own."
            )
    yield "More queues on one broker do not help: all its commands run on one core."
    known = [each for each in found.lanes if each.facts.broker_s]
    cheaper = min(known, key=lambda each: each.facts.broker_s or 0.0)
    for lane in lanes:
        if cheaper.transport != lane.transport and cheaper.facts.broker_s and lane.facts.broker_s:
            times = lane.facts.broker_s / cheaper.facts.broker_s
            yield (
                f"{lane.lane}: with the {cheaper.transport} transport the broker takes "
                f"{number(cheaper.facts.broker_s * 1e6)} us a job (measured), so that it holds {number(times)} times "
                "as many."
            )
    cores = count(brokers_for(found.rate_per_s, RABBITMQ_S))
    yield (
        f"RabbitMQ uses many cores, one a queue, and about {number(RABBITMQ_S * 1e6)} us of them a job "
        f"(docs/planning.md); for this rate {cores} at {percent(BROKER_SHARE)}."
    )


def _off(compared: Compared | None, scale: float = 1.0) -> list[str]:
    """Return a prediction, what was measured, and how far it is off."""
    if compared is None:
        return [NONE, NONE]
    return [
        f"{number(compared.predicted * scale)} / {number(compared.measured * scale)}",
        f"{compared.off * 100:+,.1f} %",
    ]


def _errors(found: FleetAnswer) -> Table:
    rows = [
        [
            each.lane,
            f"{each.run[-6:]}{', odd rounds' if each.split else ''}{', crowded' if each.crowded else ''}",
            f"{each.nodes} x {each.slots}",
            *_off(each.throughput_per_s),
            *_off(each.p50_s, 1000),
            *_off(each.p99_s, 1000),
        ]
        for lane in found.lanes
        for each in lane.held_out
    ]
    note = "Each row is predicted from the other runs alone, or its odd rounds from even ones. A p99 needs 1,000 jobs."
    return Table(
        title="How wrong it was on what it had not seen: predicted / measured",
        columns=["lane", "run", "nodes", "jobs/s", "off", "p50 ms", "off ", "p99 ms", "off  "],
        rows=rows or [["nothing could be held out", *[NONE] * 8]],
        note=note,
        words=("run",),
    )


def _options(found: FleetAnswer) -> Table:
    return Table(
        title="Every number of slots that was tried",
        columns=["lane", "slots", "nodes", "brokers", "p50 ms", "p99 ms", "from", "to", *RESOURCES.values()],
        rows=[
            [
                lane.lane,
                f"{option.slots}{'' if option.measured else ' (not measured)'}",
                count(option.nodes),
                count(option.brokers),
                milliseconds(option.p50_s),
                milliseconds(option.p99_s),
                milliseconds(option.p99_low_s),
                milliseconds(option.p99_high_s),
                *(percent(option.use.get(name)) for name in RESOURCES),
            ]
            for lane in found.lanes
            for option in lane.options
        ],
        note="From and to are the 95 % interval of the simulation alone.",
    )


def _inputs(found: FleetAnswer) -> Table:
    return Table(
        title="What was measured, in ms a job",
        columns=["lane", "records", "holds a slot", "computes", "gap", "node", "broker", "measured at"],
        rows=[
            [
                lane.lane,
                count(lane.facts.jobs),
                milliseconds(lane.facts.job_s),
                milliseconds(lane.facts.job_cpu_s),
                milliseconds(lane.facts.gap_s),
                milliseconds(lane.facts.node_s),
                milliseconds(lane.facts.broker_s),
                ", ".join(f"{nodes} x {slots}" for nodes, slots in lane.facts.measured),
            ]
            for lane in found.lanes
        ],
        words=("measured at",),
    )
