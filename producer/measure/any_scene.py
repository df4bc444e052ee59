"""What a drill finds on any fleet: the load, the ledger, and faults that need the broker and jobs alone."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import redis

from producer.analysis.drill import Strike
from producer.deadlines import until
from producer.errors import FleetError
from producer.measure.batch import Batch, Publisher

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from celery import Celery

    from poolrace.effects import Ledger, Note
    from producer.analysis.drill import Found
    from producer.fleet.processes import Processes
    from producer.measure.drilled import Sender
    from producer.plan.drill import Cell, Drill

END_S, LOOK_S = 30.0, 0.02
BATCH_EVERY_S = 0.02
HELD_S = 0.5
"""So long after a fault what nodes hold is added to what they held: a job may have been taken at the same instant."""


class AnyScene:
    """
    A broker and nodes of one cell, under load: what a drill may use whoever runs them.

    A drill whose `strike` takes this one can be done on nodes that somebody else runs; a `Scene` has more.

    Attributes:
        cell: How the nodes run.
        app: A Celery app on the broker.
        sender: Sends jobs.
        ledger: The effects of jobs.
        strikes: The faults so far.
        hung: In words, the nodes that did not do what they were asked to.
        ended: In words, the nodes that ended by themselves and were started again by the drill.
        visibility_s: The visibility timeout of the nodes.
        slots: Those of all nodes at the beginning.
    """

    cell: Cell
    app: Celery
    sender: Sender
    ledger: Ledger
    visibility_s: float
    slots: int

    _drill: Drill
    _logs: Path
    _processes: Processes

    def __init__(self) -> None:
        self.strikes: list[Strike] = []
        self.hung: list[str] = []
        self.ended: list[str] = []

    # What a fault may do

    def struck(self, what: str, also: Iterable[str] = ()) -> None:
        """Note that a fault strikes, and what nodes hold then, and other jobs that it may have run again."""
        self.strikes.append(Strike(what=what, at=time.time(), held=self._held().union(also)))
        self._mark(len(self.strikes) - 1)

    def note_held(self) -> None:
        """Add what nodes hold now to the fault that has just struck."""
        if self.strikes and time.time() < self._noted_until():
            number = len(self.strikes) - 1  # another fault may strike meanwhile
            last = self.strikes[number]
            self.strikes[number] = replace(last, held=last.held | self._held())
            self._mark(number)

    def _noted_until(self) -> float:
        """Return until when what nodes hold belongs to the last fault."""
        return self.strikes[-1].at + HELD_S

    def _mark(self, number: int) -> None:
        """Write down on the broker that a fault strikes, if that is kept there."""

    def replace_node(self, name: str, what: str) -> None:
        """Have a node end as SIGTERM does, and another take its place."""
        raise NotImplementedError

    def kill_slot(self, what: str) -> None:
        """Kill the process of a slot in the middle of a job."""
        raise NotImplementedError

    def cut_connections(self, what: str) -> None:
        """Have the broker close every connection but that of this command, as a firewall or a failover does."""
        self.struck(what)
        with self._client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")

    def begin_batch(self, count: int) -> Publisher:
        """Start a process that sends a batch of jobs."""
        sent = Batch(
            url=self._broker_url(),
            outbox=self._outbox_place(),
            jobs=[self.sender.identity() for _ in range(count)],
            job_s=self._drill.job_s,
            every_s=BATCH_EVERY_S,
            queue=self.sender.queue,
            task=self.sender.harmless,
        )
        return Publisher(self._processes, sent, self._logs / "publisher.log")

    def wait(self, seconds: float) -> None:
        """Let the load go on, and start another node for each that ends by itself."""
        until(self._waited, seconds, every_s=LOOK_S)

    def _waited(self) -> bool:
        self.look_after_nodes()
        return False

    def send_burst(self, count: int, job_s: float) -> None:
        """Send jobs at once, so that some wait and some are taken ahead."""
        for _ in range(count):
            self.sender.send_one(job_s)

    def slot_at_work(self, job_s: float = 0.5) -> Note:
        """Send a longer job, wait until a slot is in the middle of it, and return the note of its beginning."""
        begun = self.until_begun(self.sender.send_one(job_s))
        self.wait(self._middle_s(job_s))
        return begun

    def _middle_s(self, job_s: float) -> float:
        return job_s / 4

    def until_begun(self, job: str) -> Note:
        """
        Wait until a job has begun, and return the note of it.

        Raises:
            FleetError: If it does not.
        """
        begun = until(lambda: self.ledger.first_begin(job), END_S, every_s=LOOK_S)
        if begun is None:
            raise FleetError(f"No node began a job in {END_S:.0f} s. The logs are in {self._logs}.")
        return begun

    def until_noted(self, job: str) -> bool:
        """Wait until a job is done, and return whether it is."""
        return until(lambda: job in self.ledger.done(), self._longest_s())

    def _longest_s(self) -> float:
        return END_S

    def until_done(self, count: int, within_s: float = END_S) -> bool:
        """Wait until so many jobs are done, and return whether they are."""
        return until(lambda: self.ledger.done_count() >= count, within_s, every_s=LOOK_S)

    # What is found

    def found(self) -> Found:
        """Return where jobs are: on the broker, and on the nodes that live."""
        raise NotImplementedError

    def explained(self) -> list[Strike]:
        """Return the faults with all that nodes held at them."""
        return list(self.strikes)

    def living_names(self) -> list[str]:
        """Return the names of the nodes that run."""
        raise NotImplementedError

    def look_after_nodes(self) -> None:
        """Start another node for each that has ended by itself, where a drill runs the nodes."""

    def send_again(self) -> None:
        """Have the outbox, where there is one, send again what is overdue."""

    def remembers(self, jobs: Collection[str]) -> bool:  # noqa: ARG002 - of those who have an outbox
        """Return whether the outbox, where there is one, will send some of these jobs again."""
        return False

    def _asked(self, nodes: list[str], answer_s: float) -> list[str]:
        """Return the jobs that nodes say they have."""
        if not nodes:
            return []
        inspect: Any = self.app.control.inspect(destination=nodes, timeout=answer_s, limit=len(nodes))
        answers = [asked() or {} for asked in (inspect.active, inspect.reserved, inspect.scheduled)]
        jobs = [job for answer in answers for some in answer.values() for job in some]
        return [job.get("request", job)["id"] for job in jobs]

    def _held(self) -> frozenset[str]:
        """Return what the broker has as delivered and not acknowledged."""
        with suppress(redis.RedisError):
            return self._delivered()
        return frozenset()

    def _delivered(self) -> frozenset[str]:
        raise NotImplementedError

    def _broker_url(self) -> str:
        raise NotImplementedError

    def _outbox_place(self) -> str:
        return ""

    def _client(self) -> Any:
        raise NotImplementedError


def identities(messages: Iterable[dict[str, Any]]) -> list[str]:
    """Return the ids of the tasks in messages as kombu writes them."""
    return [str(message["headers"]["id"]) for message in messages if "id" in message.get("headers", {})]
