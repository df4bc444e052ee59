"""Runs drills on nodes that somebody else runs: on one lane after the other, or a user's own fault on all at once."""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from producer.analysis.drill import CellResult, SeenNode, held_up
from producer.errors import FleetError
from producer.fleet.attached import AttachedFleet
from producer.fleet.node_watch import NodeWatch
from producer.fleet.processes import Processes
from producer.measure.accounting import (
    FIRST_JOBS,
    SETTLE_S,
    TAIL_S,
    Allowed,
    Load,
    account,
    noting_held,
    sending,
    settled,
    wait_for_work,
)
from producer.measure.any_scene import END_S
from producer.measure.attached_scene import AttachedLane, AttachedScene, NotPermittedError
from producer.measure.drill import OWN_FAULT
from producer.measure.drilled import HARMLESS
from producer.measure.own_fault import ByCommand, ByHand, Struck
from producer.plan.drill import POISON, Cell, own_fault, profile_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from celery import Celery

    from producer.measure.drill import Entry
    from producer.measure.own_fault import Fault
    from producer.plan.drill import Bounds, Drill
    from producer.plan.lanes import Lane

LEAST_PER_S, MOST_PER_S = 2.0, 50.0
BUSY = 0.5
"""The part of the slots that the load keeps busy, unless its rate is given."""

QUIET_S, HELD_EVERY_S = 5.0, 0.05
"""How long a job may be nowhere before it is given up: a host that comes back first has to reach its broker."""

MOST_WAITED_S = 180.0
"""The longest that is waited for visibility timeouts to pass."""

JOB_S, BEFORE_S, AFTER_S = 0.5, 3.0, 5.0
SAY_S = 2.0

OVER = "over"
BROKER_AGAIN = (
    "The broker was started again. What it had not on disk is gone, notes of jobs that were just done among it."
)
DO_IT_YOURSELF = "the fault is in processes that the drill would have to run itself; do it by --fault-command"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedOptions:
    """
    How nodes that run already are drilled.

    Attributes:
        broker_url: Their broker.
        expect_nodes: So many are waited for; None for one.
        queues: A lane each; none for a lane a pool.
        pools: Only lanes of these pools; none for all.
        rate_per_s: Jobs sent a second to each lane; None for as many as keep half of its slots busy.
        job_s: How long a job waits.
        before_s: How long jobs are sent before the fault.
        after_s: How long they are sent after it.
        settle_s: How long the last jobs may take to come to their end; None for as long as visibility timeouts ask.
        command: The command that is the fault of the user; None for none.
        by_hand: Whether the fault of the user is done by hand.
    """

    broker_url: str
    expect_nodes: int | None = None
    queues: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    rate_per_s: float | None = None
    job_s: float = JOB_S
    before_s: float = BEFORE_S
    after_s: float = AFTER_S
    settle_s: float | None = None
    command: str | None = None
    by_hand: bool = False


def run_attached(
    entries: Sequence[Entry], folder: Path, options: AttachedOptions, repeat: int = 1
) -> Iterator[CellResult]:
    """
    Run drills on each lane that is found, or the fault of the user on all lanes at once; yield what was found.

    Raises:
        FleetError: If nodes or broker are not there, or are no lanes; or the fault cannot be done.
    """
    run_id = secrets.token_hex(8)
    with Processes() as processes, _fleet(run_id, options) as fleet:
        lanes = _lanes(fleet, options)
        knowing = _knowing(fleet.app, [node for lane in lanes for node in fleet.nodes(lane.lane)])
        before = {node: fleet.hello(node) for lane in lanes for node in fleet.nodes(lane.lane)}
        with NodeWatch(fleet.ask, before) as watch:
            for entry in entries:
                for number in range(repeat):
                    place = folder / "logs" / entry.name / str(number + 1)
                    runner = _Runner(entry, options, watch, processes, place, knowing)
                    yield from runner.run(lanes)


def _fleet(run_id: str, options: AttachedOptions) -> AttachedFleet:
    return AttachedFleet(
        run_id, broker_url=options.broker_url, expect_nodes=options.expect_nodes, queues=options.queues, least_pools=1
    )


def _lanes(fleet: AttachedFleet, options: AttachedOptions) -> list[AttachedLane]:
    """Return the lanes, each with the cell that its nodes are by what they say of themselves."""
    chosen = [lane for lane in fleet.lanes if not options.pools or lane.pool in options.pools]
    if not chosen:
        there = ", ".join(dict.fromkeys(lane.pool for lane in fleet.lanes))
        raise FleetError(f"No node of the pool {' or '.join(options.pools)} answers. Those that do: {there}.")
    kept = _persistence(fleet.app)
    return [_attached(fleet, lane, has_aof=bool(kept.get("aof_enabled"))) for lane in chosen]


def _attached(fleet: AttachedFleet, lane: Lane, *, has_aof: bool) -> AttachedLane:
    hello = fleet.hello(fleet.nodes(lane)[0])
    rejects = bool(hello.get("reject_on_worker_lost"))
    profile = profile_of(lane.acks, lane.transport, rejects=rejects, has_aof=has_aof)
    queue = "" if lane.key == lane.pool else lane.key
    cell = Cell(pool=lane.pool, acks=lane.acks, transport=lane.transport, profile=profile, queue=queue)
    return AttachedLane(
        lane=lane,
        queue=fleet.queue(lane),
        nodes=frozenset(fleet.nodes(lane)),
        cell=cell,
        visibility_s=float(hello.get("visibility_timeout_s") or 3600),
    )


def _persistence(app: Celery) -> dict[str, Any]:
    """
    Return what a Redis broker says of what it keeps on disk.

    Raises:
        FleetError: If it is none: no other can be asked where jobs are.
    """
    with app.connection_for_read() as connection:
        client: Any = getattr(connection.default_channel, "client", None)
        if not hasattr(client, "lrange"):
            raise FleetError("--broker: drills need Redis or Valkey, which can be asked where each job is.")
        return dict(client.info("persistence"))


def _knowing(app: Celery, nodes: Sequence[str]) -> set[str]:
    """Return the nodes that know the jobs of drills, also those that do harm."""
    asked: Any = app.control.inspect(destination=list(nodes), timeout=SAY_S, limit=len(nodes))
    return {node for node, tasks in (asked.registered() or {}).items() if HARMLESS in tasks}


def why_left_out(entry: Entry) -> str:
    """Return why a drill cannot be done on nodes that somebody else runs; empty if it can."""
    drill = entry.drill
    if entry.is_anywhere or entry is OWN_FAULT:
        return ""
    reasons = {
        "it breaks the link to the broker, and these nodes reach theirs without one of ours": drill.link,
        "it limits the memory of nodes by a control group of this machine": drill.memory_mib is not None,
        "it sets the clocks of nodes, and these have those of their hosts": drill.own_clocks,
        "it needs a broker with a replica and sentinels of its own": drill.failover,
        "it kills the broker as well": bool(drill.times),
        f"its nodes are started with {' '.join(drill.flags)}": bool(drill.flags),
    }
    return next((reason for reason, applies in reasons.items() if applies), DO_IT_YOURSELF)


def why_not_on(entry: Entry, at: AttachedLane, *, known: bool) -> str:
    """
    Return why a drill is left out on a lane; empty if it is done.

    Args:
        entry: The drill.
        at: The lane.
        known: Whether its nodes know the jobs of drills that do harm.
    """
    drill, lane = entry.drill, at.lane
    waits_s = drill.waits_timeouts * at.visibility_s
    reasons = {
        why_left_out(entry): True,
        drill.why_not(at.cell): True,
        f"it needs {drill.nodes} nodes, and this lane has {lane.nodes}": drill.nodes > lane.nodes,
        f"it waits for {drill.waits_timeouts} visibility timeouts, {waits_s:g} s here": waits_s > MOST_WAITED_S,
        "its job would end node after node here, each slot being a part of the node's process": (
            drill.expected is POISON and not at.cell.has_children
        ),
        "its nodes do not know the jobs of drills, as those of worker.app do": entry is not OWN_FAULT and not known,
    }
    return next((reason for reason, applies in reasons.items() if reason and applies), "")


def bounds_on(drill: Drill, cell: Cell, slots: int) -> Bounds:
    """Return what a drill may cost on nodes of so many slots that run already."""
    bounds = drill.bounds(cell, slots)
    # A job that ends its process comes again until the nodes' own limit, of 100 times by default.
    return replace(bounds, queued=max(1, bounds.queued)) if drill.expected is POISON else bounds


@dataclass(frozen=True, slots=True)
class _Runner:
    """One drill on lanes: on each of them in turn, or on all at once if the fault is the user's."""

    entry: Entry
    options: AttachedOptions
    watch: NodeWatch
    processes: Processes
    folder: Path
    knowing: AbstractSet[str]

    def run(self, lanes: Sequence[AttachedLane]) -> Iterator[CellResult]:
        if self.entry is OWN_FAULT:
            yield from self._run_on(lanes)
            return
        for at in lanes:
            if reason := why_not_on(self.entry, at, known=self.knowing >= at.nodes):
                yield CellResult(drill=self.entry.name, cell=at.cell.name, skipped=reason)
            else:
                yield from self._run_on([at])

    def _run_on(self, lanes: Sequence[AttachedLane]) -> Iterator[CellResult]:
        began = time.monotonic()
        with ExitStack() as around:
            scenes = [around.enter_context(self._scene(at)) for at in lanes]
            broker = scenes[0].server_life()
            try:
                load, struck_at = self._under_load(scenes, began)
            except NotPermittedError as error:
                yield from (CellResult(drill=self.entry.name, cell=at.cell.name, skipped=str(error)) for at in lanes)
                return
            for scene in scenes:
                found = settled(scene, self._settle_s(scene), QUIET_S)
                scene.revoke_harmful(found)
                result = self._result(scene, load, struck_at, found)
                yield result if scene.server_life() == broker else replace(result, said=[BROKER_AGAIN])

    def _scene(self, at: AttachedLane) -> AttachedScene:
        return AttachedScene(
            secrets.token_hex(4), at, self._drill(at), self.watch, broker_url=self.options.broker_url,
            logs=self.folder / quote(at.cell.name, safe=""), processes=self.processes,
        )  # fmt: skip

    def _drill(self, at: AttachedLane) -> Drill:
        """Return the drill with the load that a lane gets."""
        busy_per_s = BUSY * at.lane.slots / self.options.job_s
        rate_per_s = self.options.rate_per_s or min(MOST_PER_S, max(LEAST_PER_S, busy_per_s))
        return replace(self.entry.drill, rate_per_s=rate_per_s, job_s=self.options.job_s)

    def _under_load(self, scenes: Sequence[AttachedScene], began: float) -> tuple[Load, float]:
        load_at = time.time()
        with ExitStack() as around:
            for scene in scenes:
                around.enter_context(sending(scene, scene.drill))
            for scene in scenes:
                if not scene.until_done(FIRST_JOBS, END_S + FIRST_JOBS * self.options.job_s):
                    raise FleetError(f"{self.entry.name}: no node of {scene.at.queue} has done {FIRST_JOBS} jobs.")
            scenes[0].wait(self.options.before_s)
            struck_at = time.time()
            with ExitStack() as noting:
                for scene in scenes:
                    noting.enter_context(noting_held(scene, HELD_EVERY_S))
                self._strike(scenes)
                healed_at = time.time()
                for scene in scenes:
                    wait_for_work(scene, healed_at, self.entry.drill.resume_s)
                scenes[0].wait(max(TAIL_S, self.options.after_s))
        return Load(began=began, at=load_at, healed_at=healed_at), struck_at

    def _strike(self, scenes: Sequence[AttachedScene]) -> None:
        self.entry.strike(Struck(scenes=scenes, fault=self._fault()) if self.entry is OWN_FAULT else scenes[0])

    def _fault(self) -> Fault:
        if self.options.command is None:
            return ByHand()
        return ByCommand(self.options.command, self.processes, self.folder / "fault.log")

    def _settle_s(self, scene: AttachedScene) -> float:
        if self.options.settle_s is not None:
            return self.options.settle_s
        return SETTLE_S + min(MOST_WAITED_S, 2 * scene.visibility_s)

    def _result(self, scene: AttachedScene, load: Load, struck_at: float, found: Any) -> CellResult:
        changes = scene.changes()
        concurrency, cell = scene.at.lane.concurrency, scene.cell

        def allowed() -> Allowed:
            if self.entry is OWN_FAULT:
                bounds = own_fault(cell, slots=concurrency, gone=scene.gone())
            else:
                bounds = bounds_on(self.entry.drill, cell, concurrency)
            holdable = scene.at.lane.slots * (1 + scene.at.lane.prefetch)
            return Allowed(bounds=bounds, holdable=holdable, resume_s=self.entry.drill.resume_s)

        result = account(self.entry.name, scene, load, found, allowed)
        over = [] if scene.over_at is None else [(OVER, scene.over_at - load.at)]
        return replace(
            result,
            struck=[*result.struck, *over],
            held_up=held_up(scene.sender.sent_at, scene.ledger.notes(), struck_at),
            seen=[SeenNode(node=each.node, what=each.what, at_s=each.at - load.at) for each in changes],
            nodes=scene.at.lane.nodes,
        )
