"""
A fleet that runs already, on this host or others: nodes are found by Celery's remote control and grouped into lanes.

Nothing is started. A run leaves only its records queue and its lease of the fleet on the broker, and both expire,
however the run ends.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from celery import Celery

from poolrace.contract import records_queue
from poolrace.transport_setting import STOCK
from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet.broker import Broker, connect, forget_queue
from producer.fleet.control import ANSWER_S, Control
from producer.fleet.lease import FleetLease
from producer.fleet.queue_depth import Depth, depth
from producer.plan.lane_settings import AUTOSCALE, CPUS, EVENTS, OFF, ON, RESULTS, START, START_METHODS
from producer.plan.lanes import Lane
from producer.rundir.events import NULL_LOG, EventKind, EventLog
from producer.rundir.manifest import Distance, NodeFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kombu import Connection

FORK = START_METHODS[0]
FIND_S = 30.0
ASK_S = 1.0
CHECK_EVERY_S = 5.0
CHECKS_MISSED = 3
"""So many checks without an answer end a run: a node that is killed and started again has ten seconds to come back."""
SELDOM_S = 60.0
"""How often nodes send samples that nobody reads."""

IDLE_S = 60.0
IDLE = Depth(ready=0, unacked=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLane:
    """
    The nodes of one pool that share a queue.

    Attributes:
        lane: Their configuration, with the slots of all nodes together.
        queue: The queue that no other node consumes.
        nodes: Their names.
    """

    lane: Lane
    queue: str
    nodes: tuple[str, ...]


class AttachedFleet:
    """
    The nodes that answer on a broker.

    Use it as a context manager; leaving it lets other runs use the nodes again.
    """

    def __init__(
        self,
        run_id: str,
        *,
        broker_url: str,
        expect_nodes: int | None,
        queues: Sequence[str] = (),
        events: EventLog = NULL_LOG,
        least_pools: int = 2,
    ) -> None:
        self._run_id = run_id
        self._broker_url = broker_url
        self._expect_nodes = expect_nodes
        self._queues = queues
        self._events = events
        self._least_pools = least_pools
        self._hellos: Mapping[str, Mapping[str, Any]] = {}
        self._missed: Counter[str] = Counter()
        self._pids: dict[str, int] = {}
        self._checked_s = 0.0

    def __enter__(self) -> Self:
        self.broker: Broker = connect(self._broker_url)
        self.app = Celery("poolrace", broker=self.broker.url, set_as_current=False)
        self._lease = FleetLease(self.app, self._run_id)
        self._lease.take()
        self._control = Control(self.app)
        try:
            self._hellos = self._find()
            found = by_queue(self._hellos, self._queues) if self._queues else group(self._hellos, self._least_pools)
            self._found = {each.lane.key: each for each in found}
            self._wait_until_idle()
        except BaseException:
            self.__exit__()
            raise
        self.lanes: Sequence[Lane] = tuple(found.lane for found in self._found.values())
        return self

    def queue(self, lane: Lane) -> str:
        """Return the queue that the lane's nodes consume already."""
        return self._found[lane.key].queue

    def queues(self, lane: Lane) -> Sequence[str]:
        """Return the lane's one queue."""
        return [self.queue(lane)]

    def nodes(self, lane: Lane) -> Sequence[str]:
        """Return the names of the lane's nodes that answered."""
        return self._found[lane.key].nodes

    def start(self, lane: Lane) -> list[NodeFacts]:
        """Return the facts about a lane's nodes; they run already."""
        return [
            NodeFacts(node=node, lane=lane.key, ready_s=None, hello=self._hellos[node]) for node in self.nodes(lane)
        ]

    def stop(self, lane: Lane) -> None:
        """Leave the nodes running: this fleet did not start them."""

    def started_at(self, lane: Lane) -> None:  # noqa: ARG002 - the protocol's
        """Return None: the nodes ran already, so the time is not known."""
        return

    def distances(self) -> tuple[Distance, ...]:
        """Return nothing: these nodes are where they are."""
        return ()

    def check(self) -> None:
        """Check every few seconds that each node still answers; asking also keeps its samples coming."""
        if time.monotonic() - self._checked_s < CHECK_EVERY_S:
            return
        self._lease.renew()
        lane_of = {node: found.lane.key for found in self._found.values() for node in found.nodes}
        answered = self._control.hello(self._run_id, list(lane_of))
        self._checked_s = time.monotonic()
        for node, lane in lane_of.items():
            self._note_answer(node, lane, answered.get(node))
        silent = [node for node, missed in self._missed.items() if missed >= CHECKS_MISSED]
        if silent:
            raise FleetError(f"No answer from {', '.join(silent)} any more. See that node's own log, and race again.")

    def ask(self, timeout_s: float) -> Mapping[str, Mapping[str, Any]]:
        """
        Renew the lease, and return what each node that answers says of itself: of all that are there now.

        Raises:
            Exception: Whatever the client raises, if the broker is away; to be asked again.
        """
        try:
            self._lease.renew()
            answered = self._control.hello(self._run_id, (), timeout_s, every_s=SELDOM_S)
        except Exception:
            self._control.close()
            self._control = Control(self.app)
            raise
        self._hellos = {**self._hellos, **answered}
        return answered

    def hello(self, node: str) -> Mapping[str, Any]:
        """Return what a node said of itself last."""
        return self._hellos[node]

    def _note_answer(self, node: str, lane: str, hello: Mapping[str, Any] | None) -> None:
        """Count the questions in a row that a node did not answer, and note the events that follow from it."""
        before, self._missed[node] = self._missed[node], 0 if hello else self._missed[node] + 1
        if hello is None:
            lost = self._missed[node] == CHECKS_MISSED
            detail = f"no answer in {ANSWER_S:g} s" if not lost else f"no answer to {CHECKS_MISSED} questions"
            self._events.note(EventKind.LOST if lost else EventKind.SILENT, lane=lane, node=node, detail=detail)
            return
        if before:
            self._events.note(EventKind.ANSWERS, lane=lane, node=node)
        was = self._pids.setdefault(node, self._hellos[node]["pid"])
        if hello["pid"] != was:
            self._pids[node] = hello["pid"]
            self._events.note(EventKind.RESTARTED, lane=lane, node=node, detail=f"pid {was}, now {hello['pid']}")

    def __exit__(self, *_: object) -> None:
        try:
            self._leave()
        finally:
            self._control.close()
            self._lease.release()

    def _leave(self) -> None:
        # If the broker is gone there is nothing to remove; what reaches it later expires.
        with self.app.connection_for_write() as connection:
            with suppress(*connection.connection_errors, *connection.channel_errors):
                self._control.goodbye(self._run_id, sorted(self._hellos))
                forget_queue(connection, records_queue(self._run_id))

    def _wait_until_idle(self) -> None:
        """Wait until the lanes are empty: a continuous load pauses when it sees the lease, but has sent jobs before."""
        with self.app.connection_for_read() as connection:

            def idle() -> bool:
                self._lease.renew()
                return not self._busy(connection)

            if not until(idle, IDLE_S, every_s=ASK_S / 4):
                raise FleetError(
                    f"Jobs that are not ours still wait in {', '.join(self._busy(connection))} after {IDLE_S:.0f} s. "
                    "Stop what sends them, or let them be worked off first."
                )

    def _busy(self, connection: Connection) -> list[str]:
        return [f.queue for f in self._found.values() if depth(connection, f.queue) not in (IDLE, None)]

    def _find(self) -> Mapping[str, Mapping[str, Any]]:
        wanted = self._expect_nodes or (1 if self._queues else self._least_pools)
        found: Mapping[str, Mapping[str, Any]] = {}

        def all_answer() -> bool:
            nonlocal found
            self._lease.renew()
            found = self._control.hello(self._run_id, (), ASK_S)
            return len(found) >= wanted and not _unconsumed(found, self._queues)

        until(all_answer, FIND_S, every_s=0)
        if len(found) < wanted:
            raise FleetError(_too_few(self.broker, sorted(found), wanted, self._least_pools))
        return found  # grouping them names the queue that no node consumes


def _too_few(broker: Broker, found: Sequence[str], wanted: int, least_pools: int) -> str:
    names = ", ".join(found) or "none"
    needs = "A race needs nodes of both pools," if least_pools > 1 else "Those count"
    return (
        f"Only {len(found)} of {wanted} nodes answer on {broker.shown}: {names}. {needs} "
        "whose app has poolrace.stamping attached. Start them, or name fewer with --expect-nodes."
    )


def _unconsumed(hellos: Mapping[str, Mapping[str, Any]], queues: Sequence[str]) -> list[str]:
    consumed = {queue for hello in hellos.values() for queue in hello["queues"]}
    return [queue for queue in queues if queue not in consumed]


def by_queue(hellos: Mapping[str, Mapping[str, Any]], queues: Sequence[str]) -> list[FoundLane]:
    """
    Group nodes into a lane for each queue, in the order given.

    Raises:
        FleetError: If no node consumes a queue, or its nodes are of several pools or differ.
    """
    if missing := _unconsumed(hellos, queues):
        consumed = sorted({queue for hello in hellos.values() for queue in hello["queues"]})
        raise FleetError(
            f"--queue: no node consumes {', '.join(missing)}. Those that are consumed: {', '.join(consumed)}."
        )
    found = []
    for queue in queues:
        members = {node: hello for node, hello in sorted(hellos.items()) if queue in hello["queues"]}
        pools = sorted({hello["pool"] for hello in members.values()})
        if len(pools) > 1:
            raise FleetError(
                f"--queue {queue}: nodes of several pools consume it: {', '.join(members)}. Give each its own."
            )
        lane = _configuration(pools[0], members)
        found.append(FoundLane(lane=replace(lane, key=queue), queue=queue, nodes=tuple(members)))
    return _without_shared(found)


def group(hellos: Mapping[str, Mapping[str, Any]], least_pools: int = 2) -> list[FoundLane]:
    """
    Group nodes into a lane for each pool, in alphabetical order.

    Raises:
        FleetError: If there are too few pools, or the nodes of a pool differ or have no queue of their own.
    """
    pools: dict[str, dict[str, Mapping[str, Any]]] = {}
    for node, hello in sorted(hellos.items()):
        pools.setdefault(hello["pool"], {})[node] = hello
    if len(pools) < least_pools:
        raise FleetError(
            f"All nodes run the {', '.join(pools)} pool: {', '.join(hellos)}. A race needs nodes of two pools; start "
            "some of the other."
        )
    return _without_shared([_lane(pool, members, pools) for pool, members in sorted(pools.items())])


def _lane(pool: str, members: Mapping[str, Mapping[str, Any]], pools: Mapping[str, Any]) -> FoundLane:
    queue = _own_queue(pool, members, pools)
    return FoundLane(lane=_configuration(pool, members), queue=queue, nodes=tuple(members))


def _configuration(pool: str, members: Mapping[str, Mapping[str, Any]]) -> Lane:
    told = {node: _told(hello) for node, hello in members.items()}
    differing = [name for name in next(iter(told.values())) if len({str(each[name]) for each in told.values()}) > 1]
    if differing:
        apart = "; ".join(f"{name}: {_by_value(name, told)}" for name in differing)
        raise FleetError(
            f"The {pool} nodes {', '.join(members)} are not one lane, since they differ in {apart}. Start them alike, "
            "or give those that differ a queue of their own, and name both with --queue."
        )
    first = next(iter(members.values()))
    return Lane(
        key=pool,
        pool=pool,
        slots=sum(hello["concurrency"] for hello in members.values()),
        prefetch=first["prefetch_multiplier"],
        acks=first["acks"],
        nodes=len(members),
        transport=first.get("transport", STOCK),
        settings=tuple(_settings(first)),
    )


def _told(hello: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all nodes of a lane must have alike, as far as a node's poolrace tells it."""
    limits = hello.get("limits", {})
    return {
        "prefetch": hello["prefetch_multiplier"],
        "acks": hello["acks"],
        "transport": hello.get("transport", STOCK),
        **{name: hello.get(name) for name in ("events", "results")},
        "start method": hello.get("start_method", FORK),
        "autoscale": [*hello.get("autoscale", ())],
        "cpus": limits.get("cpu_quota"),
        "memory limit in bytes": limits.get("memory_bytes"),
        **{name: hello.get(name) for name in ("python", "gil", "celery", "kombu", "poolrace")},
    }


def _by_value(name: str, told: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the values of something that differs, each with the nodes that have it."""
    having: dict[str, list[str]] = {}
    for node, each in told.items():
        having.setdefault("none" if each[name] is None else str(each[name]), []).append(node)
    return ", ".join(f"{value} on {' and '.join(nodes)}" for value, nodes in having.items())


def _settings(hello: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the further settings of a node, as far as its poolrace tells them."""
    if "events" in hello:
        yield EVENTS, ON if hello["events"] else OFF
    if "results" in hello:
        yield RESULTS, hello["results"]
    if hello.get("start_method", FORK) != FORK:
        yield START, hello["start_method"]
    if hello.get("autoscale"):
        yield AUTOSCALE, str(hello["autoscale"][1])  # the most is the concurrency
    if quota := hello.get("limits", {}).get("cpu_quota"):
        yield CPUS, f"{quota:g}"


def _without_shared(found: Sequence[FoundLane]) -> list[FoundLane]:
    """Return lanes that say of events and results only what differs between them."""
    told = [{name: value for name, value in each.lane.settings if name in {EVENTS, RESULTS}} for each in found]
    shared = {name for name in (EVENTS, RESULTS) if len({each.get(name) for each in told}) == 1}
    return [
        replace(each, lane=replace(each.lane, settings=tuple(s for s in each.lane.settings if s[0] not in shared)))
        for each in found
    ]


def _own_queue(pool: str, members: Mapping[str, Mapping[str, Any]], pools: Mapping[str, Any]) -> str:
    shared = set.intersection(*(set(hello["queues"]) for hello in members.values()))
    others = {queue for other, nodes in pools.items() if other != pool for n in nodes.values() for queue in n["queues"]}
    own = sorted(shared - others)
    if not own:
        raise FleetError(
            f"The {pool} nodes {', '.join(members)} have no queue of their own: jobs meant for them would go to other "
            f"nodes as well. Give each pool its own, e.g. celery worker -Q {pool}."
        )
    return str(own[0])
