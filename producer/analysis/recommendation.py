"""
The answer for a user's own app: per task and for all together, which pool, at what cost, and how sure that is.

Pure: from what a run recorded to plain data. Every figure was measured at the slots, prefetch and rate that stand
beside it; none is extrapolated but the number of nodes, which says so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from poolrace.pools import gives_up
from producer.analysis.memory import _memory
from producer.analysis.verdict_words import NO_VERDICT
from producer.rundir.schema import KEY
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.analysis.verdict import Verdict
    from producer.plan.lanes import Lane
    from producer.rundir.run import Run


NOT_VALID = {"lane": None, "why": "the run is not valid", "advice": None}
"""Instead of a recommendation: its figures may be looked at, but not acted on."""


FULL = 0.7
"""A node is counted on for this part of its capacity: beyond it, waiting grows faster than work."""

MEMORY_ROOM = 1.5
"""A limit is set at so many times what was measured: a node that reaches its limit is killed."""

MIB = 2**20


def answers(
    run: Run, workloads: Sequence[Mapping[str, Any]], lanes: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """
    One answer for each task and one for all together; none for a run of the demonstration's jobs.

    Args:
        run: What was recorded.
        workloads: As the summary has them.
        lanes: As the summary has them.
    """
    app = run.manifest["settings"].get("app")
    if not app or run.manifest["settings"].get("kind") != "race":
        return []
    return [_answer(run, app, workload, lanes) for workload in workloads]


def _answer(
    run: Run, app: Mapping[str, Any], workload: Mapping[str, Any], lanes: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    name, chosen = workload["workload"], workload["recommendation"]
    found: dict[str, Any] = {
        "workload": name,
        "share": app["shares"].get(name),
        "cpu_share": {lane["key"]: cpu_share(run, name, lane["key"]) for lane in lanes},
        "started_per_job": started_per_job(run, name),
        "lane": chosen["lane"],
        "why": chosen["why"],
        "sure": sureness(workload["verdicts"]),
    }
    if chosen["lane"] is None:
        return {**found, "advice": chosen["advice"]}
    lane = next(lane for lane in lanes if lane["key"] == chosen["lane"])
    measured = next(each for each in workload["lanes"] if each["lane"] == chosen["lane"])
    memory = lane["memory_per_slot_bytes"]
    capacity, latency = measured["capacity_per_s"], measured["latency"]
    sojourn = latency and latency["sojourn"]
    concurrency, of_one = lane["slots"] // lane["nodes"], 1 / lane["nodes"]
    return {
        **found,
        "pool": lane["pool"],
        "concurrency": concurrency,
        "prefetch": lane["prefetch"],
        "transport": lane["transport"],
        "memory_bytes": memory and memory * concurrency,
        "capacity_per_s": capacity and capacity["median"],
        "rate_per_s": measured["rate_per_s"],
        "p99_s": sojourn and sojourn["p99"],
        "nodes": nodes_for(measured["rate_per_s"], capacity and capacity["median"] * of_one),
        "command": chosen["command"],
        "compose": compose_service(chosen["command"], lane["pool"], memory and memory * concurrency),
    }


def cpu_share(run: Run, workload: str, lane: str) -> float | None:
    """
    How much of the time that a task held its slot it held the CPU, in its trials at a held rate; None without any.

    There it waits for the CPU least. Over all deliveries that ended, from 0 to 1.
    """
    trials = [t.trial for t in run.trials if t.workload == workload and t.lane == lane and t.kind is Kind.LATENCY]
    ended = run.records.filter(pl.col("trial").is_in(trials) & pl.col("cpu_s").is_not_null())
    held_s = float((ended["finished_at"] - ended["started_at"]).to_numpy().sum())
    return min(1.0, float(ended["cpu_s"].to_numpy().sum()) / held_s) if held_s > 0 else None


def started_per_job(run: Run, workload: str) -> float:
    """How many jobs each one starts, with those that these start in turn; 0 for a task that starts none."""
    trials = [t.trial for t in run.trials if t.workload == workload]
    sent = run.sent.filter(pl.col("trial").is_in(trials)).height
    started = run.children.filter(pl.col("trial").is_in(trials) & (pl.col("outcome") != "retried"))
    return started.join(run.sent.select(KEY), on=KEY, how="semi").height / sent if sent else 0.0


def sureness(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """What the answer rests on: the verdict on capacity, with its interval."""
    found = next((verdict for verdict in verdicts if verdict["measure"] == "capacity"), None)
    if found is None:
        return "nothing was compared"
    if found["ratio"] is None or found["low"] is None:
        return str(found["word"])
    return (
        f"{found['word']}: {found['a']} / {found['b']} {found['ratio']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
    )


def nodes_for(rate_per_s: float | None, capacity_per_s: float | None) -> int | None:
    """How many such nodes a rate takes, each at 70 % of its capacity; nodes that share a machine do less."""
    if not rate_per_s or not capacity_per_s:
        return None
    # Rounded first: 63 / (0.7 * 90) is a little more than 1 for a computer.
    return math.ceil(round(rate_per_s / (FULL * capacity_per_s), 9))


def compose_service(command: str, pool: str, memory_bytes: float | None) -> str:
    """The service of such a node, for a compose file."""
    lines = [f"worker-{pool}:", "  image: YOUR_IMAGE", f"  command: {command}", "  stop_grace_period: 60s"]
    if memory_bytes:
        lines.append(f"  mem_limit: {math.ceil(memory_bytes * MEMORY_ROOM / MIB)}m")
    return "\n".join(lines)


def recommend(run: Run, lanes: Sequence[Lane], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """
    The lane to use for a workload, why, and what it gives up.

    Capacity decides. Where it shows no difference, latency does, and where that names no lane, memory per slot.
    Without a verdict on capacity there is no recommendation.
    """
    kind = run.manifest["settings"].get("kind", "race")
    if kind != "race":
        return {"lane": None, "why": f"a {kind} recommends no lane", "advice": "Race them: poolrace race"}
    capacity = [verdict for verdict in verdicts if verdict.measure == "capacity"]
    latency = [verdict for verdict in verdicts if verdict.measure == "latency"]
    undecided = [verdict for verdict in capacity if verdict.word == NO_VERDICT]
    if undecided or not capacity:
        advice = undecided[0].advice if undecided else None
        return {"lane": None, "why": "no verdict on capacity", "advice": advice}
    keys = _unbeaten([lane.key for lane in lanes], capacity)
    if len(keys) == 1:
        return _choice(run, lanes, keys[0], "capacity decides")
    keys = _unbeaten(keys, latency)
    if len(keys) == 1:
        return _choice(run, lanes, keys[0], "no difference in capacity, and latency decides")
    decided = latency and all(verdict.word != NO_VERDICT for verdict in latency)
    return _by_memory(run, lanes, keys, "shows none either" if decided else "has no verdict")


def _unbeaten(keys: Sequence[str], verdicts: Sequence[Verdict]) -> list[str]:
    beaten = {verdict.b if verdict.winner == verdict.a else verdict.a for verdict in verdicts if verdict.winner}
    return [key for key in keys if key not in beaten]


def _by_memory(run: Run, lanes: Sequence[Lane], keys: Sequence[str], latency: str) -> dict[str, Any]:
    known = {lane.key: _memory(run, lane) for lane in lanes if lane.key in keys}
    if any(value is None for value in known.values()):
        advice = "Memory could not be measured here, so take the pool whose limits suit you"
        return {"lane": None, "why": f"no difference in capacity, and latency {latency}", "advice": advice}
    best = min(known, key=lambda key: known[key] or 0.0)
    why = f"no difference in capacity, latency {latency}, and it needs the least memory per slot"
    return _choice(run, lanes, best, why)


def _choice(run: Run, lanes: Sequence[Lane], key: str, why: str) -> dict[str, Any]:
    lane = next(lane for lane in lanes if lane.key == key)
    flags = " ".join(lane.worker_flags())
    app = (run.manifest["settings"].get("app") or {}).get("app", "YOUR_APP")
    return {
        "lane": key,
        "why": why,
        "pool": lane.pool,
        "concurrency": lane.concurrency,
        "nodes": lane.nodes,
        "transport": lane.transport,
        "command": f"celery -A {app} worker {flags} -n {lane.pool}@%h",
        "gives_up": list(gives_up(lane.pool)),
    }
