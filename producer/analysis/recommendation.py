"""The recommendation for a workload: which lane to use, why, and what it gives up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poolrace.pools import gives_up
from producer.analysis.memory import lane_memory_per_slot_bytes
from producer.analysis.verdict_words import NO_VERDICT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.verdict import Verdict
    from producer.plan.lanes import Lane
    from producer.rundir.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """
    The lane to use for a workload; what follows from a lane is None or empty without one.

    Attributes:
        lane: The lane's key; None if none is recommended.
        why: Why it is this lane, or none.
        advice: What to do where there is none; None if there is nothing to do.
        pool: Its pool.
        concurrency: Slots of each of its nodes.
        nodes: How many nodes it had.
        transport: What carries messages to them.
        command: The command that starts such a node.
        gives_up: What its pool cannot do, a sentence each.
    """

    lane: str | None
    why: str
    advice: str | None = None
    pool: str | None = None
    concurrency: int | None = None
    nodes: int | None = None
    transport: str | None = None
    command: str | None = None
    gives_up: tuple[str, ...] = ()


NOT_VALID = Recommendation(lane=None, why="the run is not valid")
"""Instead of a recommendation: the figures may be looked at, but not acted on."""


def no_recommendation(kind: str) -> Recommendation:
    """Return what stands in place of a recommendation for a kind of run that has none."""
    return Recommendation(lane=None, why=f"a {kind} recommends no lane", advice="Race them: poolrace race")


def recommend(run: Run, lanes: Sequence[Lane], verdicts: Sequence[Verdict]) -> Recommendation:
    """
    Return the lane to use for a workload, why, and what it gives up.

    Capacity decides. Where it shows no difference, latency does, and where that names no lane, memory per slot.
    Without a verdict on capacity there is no recommendation.
    """
    capacity = [verdict for verdict in verdicts if verdict.measure == "capacity"]
    latency = [verdict for verdict in verdicts if verdict.measure == "latency"]
    undecided = [verdict for verdict in capacity if verdict.word == NO_VERDICT]
    if undecided or not capacity:
        advice = undecided[0].advice if undecided else None
        return Recommendation(lane=None, why="no verdict on capacity", advice=advice)
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


def _by_memory(run: Run, lanes: Sequence[Lane], keys: Sequence[str], latency: str) -> Recommendation:
    known = {lane.key: lane_memory_per_slot_bytes(run, lane) for lane in lanes if lane.key in keys}
    if any(value is None for value in known.values()):
        advice = "Memory could not be measured here, so take the pool whose limits suit you"
        return Recommendation(lane=None, why=f"no difference in capacity, and latency {latency}", advice=advice)
    best = min(known, key=lambda key: known[key] or 0.0)
    why = f"no difference in capacity, latency {latency}, and it needs the least memory per slot"
    return _choice(run, lanes, best, why)


def _choice(run: Run, lanes: Sequence[Lane], key: str, why: str) -> Recommendation:
    lane = next(lane for lane in lanes if lane.key == key)
    flags = " ".join(lane.worker_flags())
    app = run.manifest.settings.app
    return Recommendation(
        lane=key,
        why=why,
        pool=lane.pool,
        concurrency=lane.concurrency,
        nodes=lane.nodes,
        transport=lane.transport,
        command=f"celery -A {app.app if app else 'YOUR_APP'} worker {flags} -n {lane.pool}@%h",
        gives_up=gives_up(lane.pool),
    )
