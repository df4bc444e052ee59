"""The answer for a user's own app: per task and for all together, which pool, at what cost, how sure that is. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from producer.analysis.sureness import sureness
from producer.rundir.schema import KEY
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.lane_facts import LaneFacts
    from producer.analysis.results import LaneResult
    from producer.analysis.workload import WorkloadSummary
    from producer.plan.run_settings import AppSettings
    from producer.rundir.run import Run

FULL = 0.7
"""The part of its capacity that a node is counted on for: beyond it, waiting grows faster than work."""

MEMORY_ROOM = 1.5
"""A memory limit as a multiple of what was measured: a node that reaches its limit is killed."""

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    The answer for one task, or for all together; what follows from a lane is None without one.

    Every figure was measured at the slots, prefetch and rate that stand beside it; none is extrapolated but `nodes`.

    Attributes:
        workload: The task, or the mix of all.
        share: Its share of all jobs, from 0 to 1; None for the mix.
        cpu_share: The part of the time that a job held its slot in which it held the CPU, by lane; None if unknown.
        started_per_job: Jobs that each job starts.
        lane: Key of the lane to use; None if none is recommended.
        why: Why it is this lane, or none.
        sure: How sure that is: the verdicts on capacity of the lane, each with its range, as text.
        advice: What to do where there is no answer.
        pool: Pool of the lane.
        concurrency: Slots of each of its nodes.
        prefetch: Messages that a node takes ahead, per slot.
        transport: What carries messages to its nodes.
        memory_bytes: Memory of a node; None if unknown.
        capacity_per_s: Capacity of the lane, in jobs per second; None if unknown.
        rate_per_s: The arrival rate that was held.
        p99_s: From due to finished at that rate, in seconds; None with fewer than 100 jobs.
        nodes: Nodes for that rate, each at 70 % of its capacity; None where the run chose the rate itself, since then
            one is enough by construction.
        command: The command that starts such a node.
        compose: The service of such a node, for a compose file.
    """

    workload: str
    share: float | None
    cpu_share: Mapping[str, float | None]
    started_per_job: float
    lane: str | None
    why: str
    sure: str
    advice: str | None = None
    pool: str | None = None
    concurrency: int | None = None
    prefetch: int | None = None
    transport: str | None = None
    memory_bytes: float | None = None
    capacity_per_s: float | None = None
    rate_per_s: float | None = None
    p99_s: float | None = None
    nodes: int | None = None
    command: str | None = None
    compose: str | None = None


def answers(run: Run, workloads: Sequence[WorkloadSummary], lanes: Sequence[LaneFacts]) -> tuple[Answer, ...]:
    """Return one answer for each task and one for all together; none for a run of the demonstration's jobs."""
    app = run.manifest.settings.app
    return tuple(_answer(run, app, workload, lanes) for workload in workloads) if app else ()


def _answer(run: Run, app: AppSettings, workload: WorkloadSummary, lanes: Sequence[LaneFacts]) -> Answer:
    name, chosen = workload.workload, workload.recommendation
    found = Answer(
        workload=name,
        share=app.shares.get(name),
        cpu_share={lane.key: cpu_share(run, name, lane.key) for lane in lanes},
        started_per_job=started_per_job(run, name),
        lane=chosen.lane,
        why=chosen.why,
        sure=sureness(chosen, workload.verdicts),
        advice=chosen.advice,
    )
    if chosen.lane is None or chosen.command is None:
        return found
    lane = next(lane for lane in lanes if lane.key == chosen.lane)
    measured = next(each for each in workload.lanes if each.lane == chosen.lane)
    memory_bytes = lane.memory_per_slot_bytes and lane.memory_per_slot_bytes * lane.concurrency
    capacity_per_s = measured.capacity_per_s.median if measured.capacity_per_s else None
    sojourn = measured.latency.sojourn if measured.latency else None
    return replace(
        found,
        pool=lane.pool,
        concurrency=lane.concurrency,
        prefetch=lane.prefetch,
        transport=lane.transport,
        memory_bytes=memory_bytes,
        capacity_per_s=capacity_per_s,
        rate_per_s=measured.rate_per_s,
        p99_s=sojourn.p99 if sojourn and not sojourn.is_maximum("p99") else None,
        nodes=nodes_for(asked_per_s(run, measured), capacity_per_s and capacity_per_s / lane.nodes),
        command=chosen.command,
        compose=compose_service(chosen.command, lane.pool, memory_bytes),
    )


def cpu_share(run: Run, workload: str, lane: str) -> float | None:
    """
    Return the part of the time in its slot that a task held the CPU, in trials at a held rate; None without any.

    There it waits for the CPU least. Over all deliveries that ended, from 0 to 1.
    """
    trials = [t.trial for t in run.trials if t.workload == workload and t.lane == lane and t.kind is Kind.LATENCY]
    ended = run.records.filter(pl.col("trial").is_in(trials) & pl.col("cpu_s").is_not_null())
    held_s = float((ended["finished_at"] - ended["started_at"]).to_numpy().sum())
    return min(1.0, float(ended["cpu_s"].to_numpy().sum()) / held_s) if held_s > 0 else None


def started_per_job(run: Run, workload: str) -> float:
    """Return how many jobs each one starts, with those that these start in turn; 0 if it starts none."""
    trials = [t.trial for t in run.trials if t.workload == workload]
    sent = run.sent.filter(pl.col("trial").is_in(trials)).height
    started = run.children.filter(pl.col("trial").is_in(trials) & (pl.col("outcome") != "retried"))
    return started.join(run.sent.select(KEY), on=KEY, how="semi").height / sent if sent else 0.0


def asked_per_s(run: Run, measured: LaneResult) -> float | None:
    """Return the rate that was held if the user fixed it; None if it followed from the capacity."""
    race = run.manifest.settings.race
    return measured.rate_per_s if race and race.rate_per_s is not None else None


def nodes_for(rate_per_s: float | None, capacity_per_s: float | None) -> int | None:
    """Return how many such nodes a rate takes, each at 70 % of its capacity; nodes that share a machine do less."""
    if not rate_per_s or not capacity_per_s:
        return None
    # Rounded first: 63 / (0.7 * 90) is a little more than 1 for a computer.
    return math.ceil(round(rate_per_s / (FULL * capacity_per_s), 9))


def compose_service(command: str, pool: str, memory_bytes: float | None) -> str:
    """Return the service of such a node, for a compose file."""
    lines = [f"worker-{pool}:", "  image: YOUR_IMAGE", f"  command: {command}", "  stop_grace_period: 60s"]
    if memory_bytes:
        lines.append(f"  mem_limit: {math.ceil(memory_bytes * MEMORY_ROOM / MIB)}m")
    return "\n".join(lines)
