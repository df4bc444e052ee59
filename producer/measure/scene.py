"""The scene of a drill: a broker, nodes, and a sender of jobs, all of which a fault may strike."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import redis
from celery import Celery

from poolrace import drilling, effects
from poolrace.outbox import Outbox
from poolrace.transport_setting import DEAD_LETTER_KEY, setting
from producer.analysis.drill import Found, Strike
from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet.control import Control
from producer.fleet.embedded import EmbeddedServer
from producer.fleet.processes import Processes
from producer.measure.drilled import OUTBOX_TIMES, QUEUE, Demonstration
from producer.plan.drill import PREFETCH, SLOTS, Cell, Drill

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path
    from types import TracebackType

    from poolrace.effects import Note
    from producer.fleet.processes import Child
    from producer.measure.drilled import Drilled

READY_S, ANSWER_S, END_S, LOOK_S = 60.0, 1.0, 30.0, 0.02
HELD_S = 0.5
"""So long after a fault what nodes hold is added to what they held: a job may have been taken at the same instant."""


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


class Scene:
    """
    A broker and nodes of one cell, under load.

    Use it as a context manager: leaving it ends all that it started, whatever state a fault left it in.

    Attributes:
        cell: How the nodes run.
        nodes: All nodes that were started, in order, those that have ended among them.
        server: The broker.
        sender: Sends jobs.
        strikes: The faults so far.
        hung: In words, the nodes that did not do what they were asked to.
        ended: In words, the nodes that ended by themselves.

    Args:
        cell: How the nodes run.
        drill: The drill.
        logs: The folder for the logs of the nodes.
        drilled: What the nodes run; None for the jobs of the demonstration.
    """

    def __init__(self, cell: Cell, drill: Drill, logs: Path, drilled: Drilled | None = None) -> None:
        self.cell, self._drill, self._logs = cell, drill, logs
        self._drilled = drilled or Demonstration()
        self.visibility_s = self._drilled.visibility_s or drill.visibility_s
        self.nodes: list[DrillNode] = []
        self.strikes: list[Strike] = []
        self.hung: list[str] = []
        self.ended: list[str] = []
        self._processes = Processes()

    def __enter__(self) -> Self:
        self._processes.__enter__()
        try:
            self._folder = self._processes.folder()
            self._effects, self._outbox = self._folder / "effects", self._folder / "outbox.sqlite3"
            aof = self._drill.aof or self.cell.has_aof
            self.server = EmbeddedServer(self._processes, self._folder, aof=aof)
            self.app = Celery("drill", broker=self.server.broker.url, set_as_current=False)
            sending = Celery("drill", broker=self.server.broker.url, set_as_current=False)
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
        name = f"node-{len(self.nodes) + 1}"
        cell, (app, *words) = self.cell, self._drilled.words()
        command = [
            sys.executable, "-P", "-m", "celery", "-A", app, "worker", "-P", cell.pool, "-c", str(SLOTS),
            "--prefetch-multiplier", str(PREFETCH), "-n", f"{name}@drill", *words, "--without-gossip",
            "--without-mingle", "--loglevel", "INFO", *self._drill.flags,
            *(f"{key}={value}" for key, value in setting(cell.transport).items()),
        ]  # fmt: skip
        child = self._processes.start(
            name,
            command,
            env=self._environment(),
            log=self._logs / f"{name}.log",
            cwd=self._drilled.folder(self._folder),
        )
        node = DrillNode(name=f"{name}@drill", child=child)
        self.nodes.append(node)
        return node

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

    def wait_for_end(self, node: DrillNode, within_s: float = END_S) -> None:
        """Wait until a node has ended; one that hangs is noted, and killed."""
        if not until(lambda: node.child.process.poll() is not None, within_s):
            self.hung.append(f"{node.name} had not ended {within_s:g} s after it was asked to")
            os.killpg(node.pid, signal.SIGKILL)

    def stop_all(self, node: DrillNode, number: signal.Signals) -> None:
        """Send a signal to all processes of a node: SIGSTOP freezes it as a paused virtual machine is."""
        os.killpg(node.pid, number)

    def struck(self, what: str) -> None:
        """Note that a fault strikes, and what nodes hold then, so that what runs again is explained."""
        self.strikes.append(Strike(what=what, at=time.time(), held=self._held()))

    def note_held(self) -> None:
        """Add what nodes hold now to the fault that has just struck."""
        if self.strikes and time.time() < self.strikes[-1].at + HELD_S:
            last = self.strikes[-1]
            self.strikes[-1] = replace(last, held=last.held | self._held())

    def look_after_nodes(self) -> None:
        """Start another node for each that has ended by itself, as a supervisor does."""
        for node in [each for each in self.nodes if not each.struck and each.child.process.poll() is not None]:
            node.struck = True
            self.struck("a node ended by itself")
            self.ended.append(f"{node.name} ended by itself with {node.child.ended()}")
            self.begin_node()

    def cut_connections(self) -> None:
        """Have the broker close every connection but that of this command, as a firewall or a failover does."""
        with self._client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")

    def wait(self, seconds: float) -> None:
        """Let the load go on, and start another node for each that ends by itself."""
        until(self._waited, seconds, every_s=LOOK_S)

    def _waited(self) -> bool:
        self.look_after_nodes()
        return False

    def send_again(self) -> None:
        """Have the outbox, where there is one, send again what is overdue."""
        if self.sender.outbox and (again := self.sender.outbox.send_again(2.0 * self.visibility_s)):
            self.strikes.append(Strike(what="sent again by the outbox", at=time.time(), held=frozenset(again)))

    def remembers(self, jobs: Collection[str]) -> bool:
        """Return whether the outbox, where there is one, will send some of these jobs again."""
        return bool(jobs) and self.sender.outbox is not None and self.sender.outbox.waiting() > 0

    def until_done(self, count: int, within_s: float = END_S) -> bool:
        """Wait until so many jobs are done, and return whether they are."""
        return until(lambda: self.done() >= count, within_s, every_s=LOOK_S)

    def send_burst(self, count: int, job_s: float) -> None:
        """Send jobs at once, so that some wait and some are taken ahead."""
        for _ in range(count):
            self.sender.send_one(job_s)

    def until_at_work(self, job_s: float = 0.5) -> DrillNode:
        """Send a longer job, and wait until a slot is in the middle of it; return its node."""
        slot = self._slot_at_work(job_s)
        return next((node for node in self.living() if node.name == slot.node), self.living()[0])

    def process_at_work(self, job_s: float = 0.5) -> int:
        """Send a longer job, and wait until a slot is in the middle of it; return its process."""
        return self._slot_at_work(job_s).pid

    def _slot_at_work(self, job_s: float) -> Note:
        job = self.sender.send_one(job_s)
        begun = until(lambda: next((each for each in self.notes() if each.job == job), None), END_S, every_s=LOOK_S)
        if begun is None:
            raise FleetError(f"No node began a job in {END_S:.0f} s. The logs are in {self._logs}.")
        if isinstance(self._drilled, Demonstration):
            self.wait(job_s / 4)
        return begun

    def until_noted(self, job: str, within_s: float = END_S) -> bool:
        """Wait until a job is done, and return whether it is."""
        return until(lambda: any(each.job == job and each.what == effects.DONE for each in self.notes()), within_s)

    # What is found

    def notes(self) -> list[Note]:
        """Return the ledger of effects."""
        return list(effects.read(self._effects))

    def found(self) -> Found:
        """Return where jobs are: on the broker, and on the nodes that live."""
        with self._client() as client:
            # Each priority of each queue: a user's app may have several of both.
            keys = list(client.scan_iter(match=f"{QUEUE}*", _type="list"))
            lists = [raw for key in keys for raw in client.lrange(key, 0, -1)]
            delivered = client.hvals("unacked")
            dead = client.lrange(DEAD_LETTER_KEY, 0, -1)
        return Found(
            ready=frozenset(_identities(json.loads(raw) for raw in lists)),
            delivered=frozenset(_identities(json.loads(raw)[0] for raw in delivered)),
            on_nodes=frozenset(self._on_nodes()),
            dead_letters=frozenset(_identities(json.loads(json.loads(raw)["message"]) for raw in dead)),
        )

    def living(self) -> list[DrillNode]:
        """Return the nodes that run and were not struck."""
        return [node for node in self.nodes if not node.struck and node.child.process.poll() is None]

    def done(self) -> int:
        """Return how many jobs are done."""
        return len({each.job for each in self.notes() if each.what == effects.DONE})

    def _on_nodes(self) -> list[str]:
        if not (living := [node.name for node in self.living()]):
            return []
        inspect: Any = self.app.control.inspect(destination=living, timeout=ANSWER_S)
        answers = [asked() or {} for asked in (inspect.active, inspect.reserved, inspect.scheduled)]
        jobs = [job for answer in answers for some in answer.values() for job in some]
        return [job.get("request", job)["id"] for job in jobs]

    def _held(self) -> frozenset[str]:
        try:
            with self._client() as client:
                return frozenset(_identities(json.loads(raw)[0] for raw in client.hvals("unacked")))
        except redis.RedisError:
            return frozenset()

    def _client(self) -> Any:
        return redis.Redis.from_url(self.server.broker.url)

    def _environment(self) -> dict[str, str]:
        return {
            **self._drilled.environment(self.cell, self.server.broker.url, self._folder),
            drilling.VISIBILITY: str(self.visibility_s),
            drilling.PROFILE: self.cell.profile,
            drilling.WITHOUT: ",".join(self.cell.without),
            drilling.OUTBOX: str(self._outbox) if self.cell.has_outbox else "",
            effects.VARIABLE: str(self._effects),
        }


def _identities(messages: Iterable[dict[str, Any]]) -> list[str]:
    """Return the ids of the tasks in messages as kombu writes them."""
    return [str(message["headers"]["id"]) for message in messages if "id" in message.get("headers", {})]
