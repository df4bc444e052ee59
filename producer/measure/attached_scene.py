"""The scene of a drill on nodes that somebody else runs: the load on one of their lanes, and what becomes of it."""

from __future__ import annotations

import json
import math
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import NoPermissionError

from poolrace import effects
from poolrace.contract import WAIT_TASK
from poolrace.effects_queue import identity
from poolrace.transport_setting import DEAD_LETTER_KEY
from producer.analysis.drill import Found, Strike
from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet.node_watch import RESTARTED, WENT
from producer.fleet.queue_depth import lists_of
from producer.measure.any_scene import END_S, HELD_S, AnyScene, identities
from producer.measure.drilled import Sender
from producer.measure.effects_collector import EffectsCollector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from producer.fleet.node_watch import NodeChange, NodeWatch
    from producer.fleet.processes import Processes
    from producer.measure.own_fault import Done
    from producer.plan.drill import Cell, Drill
    from producer.plan.lanes import Lane

ANSWER_S, REPLACED_S, AWAY_S = 2.0, 120.0, 60.0
"""How long nodes may take to answer; to be replaced by who runs them; and how long the broker may be away."""

SOCKET_S = 5.0

AWAY = (redis.RedisError, OperationalError, OSError)
"""What is raised while the broker is away."""


class NotPermittedError(Exception):
    """The broker does not let this user do what a drill asks of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedLane:
    """
    Nodes of one lane that run already.

    Attributes:
        lane: Their configuration.
        queue: Their queue.
        nodes: Their names.
        cell: The cell that they are.
        visibility_s: Their visibility timeout.
    """

    lane: Lane
    queue: str
    nodes: frozenset[str]
    cell: Cell
    visibility_s: float


class AttachedScene(AnyScene):
    """
    Nodes of one lane that run already, under load.

    Use it as a context manager: leaving it removes what it has on the broker.

    Attributes:
        at: The lane.
        drill: The drill, with the load.
        over_at: When a fault of the user's was over; None before, and where the fault is none.

    Args:
        token: Tells its jobs from all others, eight hexadecimal digits.
        at: The lane.
        drill: The drill, with the load.
        watch: Sees which nodes go and come.
        broker_url: The broker.
        logs: The folder for what it writes.
        processes: Starts what it starts.
    """

    def __init__(
        self, token: str, at: AttachedLane, drill: Drill, watch: NodeWatch, *, broker_url: str, logs: Path,
        processes: Processes,
    ) -> None:  # fmt: skip
        super().__init__()
        self.at, self.cell, self.visibility_s, self.slots = at, at.cell, at.visibility_s, at.lane.slots
        self.drill = self._drill = drill
        self._logs, self._processes, self._watch = logs, processes, watch
        self._token, self._url = token, broker_url
        self._seen_before = len(watch.changes)
        self.over_at: float | None = None
        self._striking = False
        self._struck_until = -math.inf
        self._around = ExitStack()
        self._looking = threading.Lock()
        self._connection: Any = None

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        self.app = self._reaching_broker()
        self.sender = Sender(
            self._reaching_broker(), None, self.at.queue, WAIT_TASK, identity(self._token, 0).removesuffix("0")
        )
        path = self._logs / "effects"
        self.ledger = effects.Ledger(path)
        self._around.enter_context(EffectsCollector(self._token, path, self.app.connection_for_read))
        return self

    def __exit__(self, *_: object) -> None:
        self._around.close()
        if self._connection is not None:
            self._connection.release()
        for app in (self.app, self.sender.app):
            app.close()

    def _reaching_broker(self) -> Celery:
        app = Celery("drill", broker=self._url, set_as_current=False)
        app.conf.broker_transport_options = {"socket_timeout": SOCKET_S, "socket_connect_timeout": SOCKET_S}
        return app

    # What a fault may do

    def begin_strike(self, what: str) -> None:
        """Note that a fault of the user's begins: from now on all that nodes hold may run again by it."""
        self._striking = True
        self.struck(what)

    def end_strike(self, done: Done) -> None:
        """Note that it is over, and what it was."""
        number = len(self.strikes) - 1
        self.strikes[number] = replace(self.strikes[number], what=done.what)
        self._striking, self._struck_until = False, time.time() + HELD_S
        self.over_at = time.time()
        if done.problem:
            self.hung.append(done.problem)

    def _noted_until(self) -> float:
        return math.inf if self._striking else max(super()._noted_until(), self._struck_until)

    def replace_node(self, name: str, what: str) -> None:
        """Have a node end by remote control, as SIGTERM does, and wait until who runs it has started another."""
        before = len(self.changes())
        self.struck(what)
        self.app.control.shutdown(destination=[name])

        def replaced() -> bool:
            seen = {(each.node, each.what) for each in self.changes()[before:]}
            return bool(seen - {(name, WENT)})

        if not until(replaced, REPLACED_S):
            self.hung.append(f"{name} was asked to end, and nobody has started another in {REPLACED_S:g} s")

    def kill_slot(self, what: str) -> None:
        """Send a job that has the process of its slot killed, once."""
        job = self.sender.send("drill.be_killed_once")
        self.struck(what, also=[job])
        self.until_begun(job)

    def cut_connections(self, what: str) -> None:
        """
        Have the broker close every connection but that of this command.

        Raises:
            NotPermittedError: If this user may not.
        """
        try:
            super().cut_connections(what)
        except NoPermissionError as error:
            raise NotPermittedError("the broker does not let this user close connections (CLIENT KILL)") from error

    def _longest_s(self) -> float:
        return END_S + 4 * self.visibility_s

    # What is found

    def found(self) -> Found:
        """
        Return where jobs of this drill are: on the broker, and on the nodes that answer.

        Raises:
            FleetError: If the broker is away for long.
        """
        found = until(self._on_broker, AWAY_S)
        if found is None:
            raise FleetError(f"The broker has not answered for {AWAY_S:g} s. What was known is in {self._logs}.")
        on_nodes = frozenset(job for job in self._on_nodes() if job.startswith(self.sender.prefix))
        return replace(found, on_nodes=on_nodes)

    def _on_broker(self) -> Found | None:
        """Return where jobs are on the broker, all of it or nothing: half of it would make jobs seem lost."""
        with suppress(*AWAY), self._channel() as channel:
            keys = lists_of(channel, [self.at.queue])
            lists = [raw for key in keys for raw in channel.client.lrange(key, 0, -1)]
            delivered = channel.client.hvals(channel.unacked_key)
            dead = channel.client.lrange(DEAD_LETTER_KEY, 0, -1)
            return Found(
                ready=self._ours(json.loads(raw) for raw in lists),
                delivered=self._ours(json.loads(raw)[0] for raw in delivered),
                dead_letters=self._ours(json.loads(json.loads(raw)["message"]) for raw in dead),
            )
        return None

    def _on_nodes(self) -> list[str]:
        with suppress(*AWAY):
            return self._asked(self.living_names(), ANSWER_S)
        return []

    def revoke_harmful(self, found: Found) -> None:
        """Have nodes drop the jobs that do harm and are still on their way: nobody waits for them any more."""
        if left := found.on_the_way & self.sender.harmful:
            with suppress(*AWAY):
                self.app.control.revoke(sorted(left))

    def server_life(self) -> str:
        """Return what tells one start of the broker from the next; empty if it is away."""
        with suppress(*AWAY), self._client() as client:
            return str(client.info("server")["run_id"])
        return ""

    def living_names(self) -> list[str]:
        """Return the names of the lane's nodes that answer."""
        return self._watch.living(self.at.queue)

    def changes(self) -> list[NodeChange]:
        """Return what was seen of the lane's nodes since the scene began."""
        known = self._watch.known(self.at.queue)
        return [each for each in self._watch.changes[self._seen_before :] if each.node in known]

    def gone(self) -> int:
        """Return how often one of the lane's nodes went, or was started again without having been missed."""
        count = 0
        away: set[str] = set()
        for each in self.changes():
            if each.what == WENT or (each.what == RESTARTED and each.node not in away):
                count += 1
            (away.add if each.what == WENT else away.discard)(each.node)
        return count

    def explained(self) -> list[Strike]:
        """Return the faults, and before each the nodes that went by it, with the jobs that they had begun."""
        begun: dict[str, set[str]] = {}
        for note in self.ledger.notes():
            if note.what == effects.BEGUN:
                begun.setdefault(note.node, set()).add(note.job)
        went = dict.fromkeys(each.node for each in self.changes() if each.what in {WENT, RESTARTED})
        return [
            explaining
            for strike in self.strikes
            for explaining in (
                *(
                    Strike(what=f"{node} went", at=strike.at, held=strike.held & begun.get(node, set()))
                    for node in went
                ),
                strike,
            )
        ]

    def _delivered(self) -> frozenset[str]:
        with self._channel() as channel:
            held = channel.client.hvals(channel.unacked_key)
        return self._ours(json.loads(raw)[0] for raw in held)

    def _held(self) -> frozenset[str]:
        with suppress(*AWAY):
            return self._delivered()
        return frozenset()

    def _ours(self, messages: Any) -> frozenset[str]:
        return frozenset(job for job in identities(messages) if job.startswith(self.sender.prefix))

    def _broker_url(self) -> str:
        return self._url

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        """Give the one connection for looks to one thread at a time; after an error the next look makes a new one."""
        with self._looking:
            if self._connection is None:
                self._connection = self.app.connection_for_read()
            try:
                self._connection.connect()
                yield self._connection.default_channel
            except Exception:
                self._connection.collect(socket_timeout=SOCKET_S)
                self._connection = None
                raise

    @contextmanager
    def _client(self) -> Iterator[Any]:
        with self._channel() as channel:
            yield channel.client
