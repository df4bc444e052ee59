"""The scene of a drill on a fleet of its own: broker, nodes and a sender of jobs, all of which a fault may strike."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import psutil
import redis
from celery import Celery

from poolrace import drilling, effects
from poolrace.outbox import Outbox
from poolrace.transport_setting import DEAD_LETTER_KEY, flags
from producer.analysis.drill import Fate, Found, Strike, under_way
from producer.analysis.journal import MARK, held_at_marks, last_takers, read_journal
from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet.control import Control
from producer.fleet.control_group import ControlGroup, GroupLimits
from producer.fleet.embedded import EmbeddedServer
from producer.fleet.failover import FailoverServers
from producer.fleet.link import Link
from producer.fleet.own_clock import OwnClock
from producer.fleet.processes import Processes
from producer.measure.any_scene import HELD_S, AnyScene, identities
from producer.measure.drilled import OUTBOX_TIMES, QUEUE, Demonstration
from producer.plan.drill import PREFETCH, SLOTS, Cell, Drill

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path
    from types import TracebackType

    from producer.analysis.drill import JobFate
    from producer.fleet.processes import Child
    from producer.measure.drilled import Drilled

MIB = 2**20
READY_S, ANSWER_S = 60.0, 1.0
LAST_S = 45.0
"""How long a node may take to end: a child of Celery's waits for 30 s to have its last result read."""


@dataclass(slots=True, kw_only=True)
class DrillNode:
    """
    A node of a drill.

    Attributes:
        name: Celery's name of it.
        child: Its main process.
        struck: Whether a fault has struck it, so that it does not count as living.
    """

    name: str
    child: Child
    struck: bool = False

    @property
    def pid(self) -> int:
        """Its main process."""
        return self.child.process.pid


class Scene(AnyScene):
    """
    A broker and nodes of one cell, under load, that the drill has started.

    Use it as a context manager: leaving it ends all that it started, whatever state a fault left it in.

    Attributes:
        nodes: All nodes that were started, in order, those that have ended among them.
        server: The broker; where it has a replica, the one that is the broker at first.
        link: What the nodes reach the broker over, if that is a part of the drill.
        times: How often a fault strikes that strikes again and again.
        clocks: The clocks of nodes, by the first part of their names, if they have clocks of their own.

    Args:
        cell: How the nodes run.
        drill: The drill.
        logs: The folder for the logs of the nodes.
        drilled: What the nodes run; None for the jobs of the demonstration.
        times: How often a fault strikes that strikes again and again; None for as often as it declares.
    """

    def __init__(
        self, cell: Cell, drill: Drill, logs: Path, drilled: Drilled | None = None, times: int | None = None
    ) -> None:
        super().__init__()
        self.cell, self._drill, self._logs = cell, drill, logs
        self._drilled = drilled or Demonstration()
        self.times = times or drill.times
        self.visibility_s = self._drilled.visibility_s or drill.visibility_s
        self.nodes: list[DrillNode] = []
        self.slots = drill.nodes * SLOTS
        self.clocks: dict[str, OwnClock] = {}
        self._processes = Processes()
        self._group: ControlGroup | None = None
        self._around = ExitStack()

    def __enter__(self) -> Self:
        self._processes.__enter__()
        try:
            if self._drill.memory_mib is not None:
                memory_bytes = self._drill.nodes * self._drill.memory_mib * MIB
                self._group = self._processes.group(GroupLimits(memory_bytes=memory_bytes))
            self._folder = self._processes.folder()
            self._effects, self._outbox = self._folder / "effects", self._folder / "outbox.sqlite3"
            self.ledger = effects.Ledger(self._effects)
            aof = self._drill.aof or self.cell.has_aof
            self._keeps_journal = aof and not self._drill.failover
            self._failover = FailoverServers(self._processes, self._folder, aof=aof) if self._drill.failover else None
            self.server = (
                self._failover.first if self._failover else EmbeddedServer(self._processes, self._folder, aof=aof)
            )
            self._reached = self._failover or self.server
            self.link = Link(self.server.broker.url)
            if self._drill.link:
                self._around.enter_context(self.link)
            self.app, sending = self._reaching_broker(), self._reaching_broker()
            box = Outbox(sending, str(self._outbox), most_times=OUTBOX_TIMES) if self.cell.has_outbox else None
            self.sender = self._drilled.sender(sending, box)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            if node.child.process.poll() is None:
                os.killpg(node.pid, signal.SIGCONT)  # one that was stopped could not end
        self._processes.__exit__(kind, error, trace)
        self._around.close()

    def _reaching_broker(self) -> Celery:
        app = Celery("drill", broker=self._reached.broker.url, set_as_current=False)
        app.conf.broker_transport_options = dict(self._reached.options)
        return app

    # What a fault may do

    def start_node(self) -> DrillNode:
        """
        Start a node, and wait until it answers.

        Raises:
            FleetError: If it does not.
        """
        node = self.begin_node()
        self.wait_for(node)
        return node

    def begin_node(self) -> DrillNode:
        """Start a node, and do not wait for it."""
        number = len(self.nodes) + 1
        name, transport = f"node-{number}", self._transport(number)
        cell, (app, *words) = self.cell, self._drilled.words()
        command = [
            sys.executable, "-P", "-m", "celery", "-A", app, "worker", "-P", cell.pool, "-c", str(SLOTS),
            "--prefetch-multiplier", str(PREFETCH), "-n", f"{name}@drill", *words, "--without-gossip",
            "--without-mingle", "--loglevel", "INFO", *self._drill.flags,
            *flags(transport, self._reached.broker.url),
        ]  # fmt: skip
        child = self._processes.start(
            name,
            command,
            env=self._environment(name),
            log=self._logs / f"{name}.log",
            cwd=self._drilled.folder(self._folder),
            group=self._group,
        )
        node = DrillNode(name=f"{name}@drill", child=child)
        self.nodes.append(node)
        return node

    def _transport(self, number: int) -> str:
        return self._drill.beside if self._drill.beside and number % 2 == 0 else self.cell.transport

    def wait_for(self, node: DrillNode) -> None:
        """
        Wait until a node answers.

        Raises:
            FleetError: If it ends, or does not answer.
        """
        with closing(Control(self.app)) as control:

            def answers() -> bool:
                node.child.check()
                return control.ping_s(node.name, ANSWER_S) is not None

            if not until(answers, READY_S, every_s=0):
                raise FleetError(f"{node.name} did not answer in {READY_S:.0f} s. Its log:\n{node.child.tail()}")

    def kill(self, node: DrillNode, what: str) -> None:
        """Kill a node with all its processes, as a crash of its machine does."""
        os.killpg(node.pid, signal.SIGKILL)
        node.child.process.wait()
        node.struck = True
        self.struck(what)

    def ask_to_end(self, node: DrillNode, number: signal.Signals, what: str) -> None:
        """Send a signal to the main process of a node, as systemd, Docker and Kubernetes do."""
        self.struck(what)
        node.struck = True
        node.child.process.send_signal(number)

    def ask_all_to_end(self, node: DrillNode, number: signal.Signals, what: str) -> None:
        """Send a signal to all processes of a node, as systemd does without KillMode=mixed."""
        self.struck(what)
        node.struck = True
        os.killpg(node.pid, number)

    def wait_for_end(self, node: DrillNode, within_s: float = LAST_S) -> None:
        """Wait until a node has ended; one that hangs is noted, and killed."""
        if not until(lambda: node.child.process.poll() is not None, within_s):
            self.hung.append(f"{node.name} had not ended {within_s:g} s after it was asked to")
            os.killpg(node.pid, signal.SIGKILL)

    def stop_all(self, node: DrillNode, number: signal.Signals) -> None:
        """Send a signal to all processes of a node: SIGSTOP freezes it as a paused virtual machine is."""
        os.killpg(node.pid, number)

    def _mark(self, number: int) -> None:
        """Write down in the broker's journal that a fault strikes, for what is held for less than a look takes."""
        if self._keeps_journal:
            with suppress(redis.RedisError), self._client() as client:
                client.set(MARK, number)

    def look_after_nodes(self) -> None:
        """Start another node for each that has ended by itself, as a supervisor does."""
        for node in [each for each in self.nodes if not each.struck and each.child.process.poll() is not None]:
            node.struck = True
            self.struck("a node ended by itself")
            self.ended.append(f"{node.name} ended by itself with {node.child.ended()}")
            self.begin_node()

    def set_broker(self, name: str, value: str) -> None:
        """Change a setting of the broker while it runs."""
        with self._client() as client:
            client.config_set(name, value)

    def kill_at_random(self, chance: random.Random) -> None:
        """Kill a node, the process of a slot, all connections, or the broker; nodes and slots only if others work."""
        at_work = [node for node in self.living() if self.ledger.has_worked(node.name)]
        kinds: list[Callable[[], None]] = [partial(self.cut_connections, "connections cut"), self.restart_broker]
        if len(at_work) > 1:
            kinds.append(lambda: self._kill_and_replace(chance.choice(at_work)))
            if self.cell.has_children:
                kinds.append(lambda: self._kill_child(chance, chance.choice(at_work)))
        chance.choice(kinds)()

    def wait_for_failover(self) -> None:
        """Wait until the sentinels have put the replica in the place of the broker."""
        assert self._failover is not None
        self._failover.wait_for_failover()

    def restart_broker(self) -> None:
        """Kill the broker, and start it again with what it has on disk."""
        self.struck("broker killed")
        self.server.kill()
        self.server.start_again()

    def _kill_and_replace(self, node: DrillNode) -> None:
        self.kill(node, "node killed")
        self.begin_node()

    def _kill_child(self, chance: random.Random, node: DrillNode) -> None:
        if children := psutil.Process(node.pid).children():
            self.struck("process of a slot killed")
            with suppress(psutil.NoSuchProcess):
                chance.choice(children).kill()

    def send_again(self) -> None:
        """Have the outbox, where there is one, send again what is overdue."""
        if self.sender.outbox and (again := self.sender.outbox.send_again(2.0 * self.visibility_s)):
            self.strikes.append(Strike(what="sent again by the outbox", at=time.time(), held=frozenset(again)))

    def remembers(self, jobs: Collection[str]) -> bool:
        """Return whether the outbox, where there is one, will send some of these jobs again."""
        return bool(jobs) and self.sender.outbox is not None and self.sender.outbox.waiting() > 0

    def until_at_work(self, job_s: float = 0.5) -> DrillNode:
        """Send a longer job, and wait until a slot is in the middle of it; return its node."""
        return self._named(self.slot_at_work(job_s).node)

    def _named(self, name: str) -> DrillNode:
        return next((node for node in self.living() if node.name == name), self.living()[0])

    def replace_node(self, name: str, what: str) -> None:
        """Send SIGTERM to a node, start another, and wait for the end of the first."""
        node = self._named(name)
        self.ask_to_end(node, signal.SIGTERM, what)
        self.start_node()
        self.wait_for_end(node)

    def kill_slot(self, what: str) -> None:
        """Kill the process of a slot in the middle of a job."""
        child = self.slot_at_work().pid
        self.struck(what)
        os.kill(child, signal.SIGKILL)

    def _middle_s(self, job_s: float) -> float:
        return super()._middle_s(job_s) if isinstance(self._drilled, Demonstration) else 0.0

    # What is found

    def found(self) -> Found:
        """Return where jobs are: on the broker, and on the nodes that live."""
        with self._client() as client:
            # Each priority of each queue: a user's app may have several of both.
            keys = list(client.scan_iter(match=f"{QUEUE}*", _type="list"))
            lists = [raw for key in keys for raw in client.lrange(key, 0, -1)]
            delivered = client.hvals("unacked")
            dead = client.lrange(DEAD_LETTER_KEY, 0, -1)
        return Found(
            ready=frozenset(identities(json.loads(raw) for raw in lists)),
            delivered=frozenset(identities(json.loads(raw)[0] for raw in delivered)),
            on_nodes=frozenset(self._asked(self.living_names(), ANSWER_S)),
            dead_letters=frozenset(identities(json.loads(json.loads(raw)["message"]) for raw in dead)),
        )

    def explained(self) -> list[Strike]:
        """
        Return the faults with all that nodes had at them.

        That is what they held, as it was seen and as the broker's journal has it, and what they ran by the ledger.
        """
        held = held_at_marks(read_journal(self.server.journal())) if self._keeps_journal else {}
        ran = under_way(self.ledger.notes(), [strike.at for strike in self.strikes], HELD_S)
        return [
            replace(strike, held=strike.held.union(held.get(number, ()), ran[number]))
            for number, strike in enumerate(self.strikes)
        ]

    def lost_by(self, fates: Iterable[JobFate]) -> dict[str, int]:
        """Return the lost jobs by the transport that took them last, where nodes have different ones."""
        if not self._drill.beside:
            return {}
        lost = {each.job for each in fates if each.fate is Fate.LOST}
        return dict(Counter(last_takers(read_journal(self.server.journal()), lost).values()))

    def living(self) -> list[DrillNode]:
        """Return the nodes that run and were not struck."""
        return [node for node in self.nodes if not node.struck and node.child.process.poll() is None]

    def living_names(self) -> list[str]:
        """Return the names of the nodes that run and were not struck."""
        return [node.name for node in self.living()]

    def _delivered(self) -> frozenset[str]:
        with self._client() as client:
            return frozenset(identities(json.loads(raw)[0] for raw in client.hvals("unacked")))

    def _broker_url(self) -> str:
        return self.server.broker.url

    def _outbox_place(self) -> str:
        return str(self._outbox) if self.cell.has_outbox else ""

    def _client(self) -> Any:
        return self._reached.client()

    def _environment(self, node: str) -> dict[str, str]:
        url = self.link.url if self._drill.link else self._reached.broker.url
        environment = self._drilled.environment(self.cell, url, self._folder)
        if self._drill.own_clocks:
            self.clocks[node] = OwnClock(self._folder / f"clock-{node}")
            environment = self.clocks[node].added_to(environment)
        return {
            **environment,
            drilling.VISIBILITY: str(self.visibility_s),
            drilling.MASTER: self._reached.options.get("master_name", ""),
            drilling.PROFILE: self.cell.profile,
            drilling.WITHOUT: ",".join(self.cell.without),
            drilling.OUTBOX: self._outbox_place(),
            effects.VARIABLE: str(self._effects),
            drilling.RETURN_LIMIT: str(self._drill.return_limit),
        }
