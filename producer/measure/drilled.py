"""What a drill runs on its nodes, and who sends it: the demonstration's jobs, or those of a user's own app."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import redis
from kombu import Producer
from kombu.exceptions import OperationalError

from poolrace.drilling import OURS
from poolrace.ownapp.redirect import Redirect
from poolrace.ownapp.routing import counterpart
from producer.errors import FleetError
from producer.fleet.environment import inherited_environment
from producer.fleet.local import backend_for, keeps_results
from producer.plan.drill import PREFETCH, SLOTS
from producer.plan.lanes import Lane
from producer.plan.own_app import MIX

if TYPE_CHECKING:
    from pathlib import Path

    from celery import Celery, Signature

    from poolrace.outbox import Outbox
    from producer.plan.drill import Cell, Drill
    from producer.plan.jobs import Message
    from producer.plan.own_app import OwnApp

QUEUE = "poolrace"
HARMLESS = "drill.wait"
"""The task of the load; all others of `worker.drill` do harm."""

OUTBOX_TIMES = 2
LOOK_S = 0.02


class Drilled(Protocol):
    """What the nodes of a scene run."""

    @property
    def visibility_s(self) -> int | None:
        """The visibility timeout of its nodes; None for that of the drill."""

    @property
    def longest_s(self) -> float:
        """What its jobs may take, in seconds, as far as that is known before."""

    def words(self) -> list[str]:
        """Return the words of `celery` that name its app, and the queue of its nodes."""

    def environment(self, cell: Cell, url: str, folder: Path) -> dict[str, str]:
        """Return the environment of its nodes."""

    def folder(self, own: Path) -> Path:
        """Return the folder in which its nodes run: its own, or that of the scene."""

    def sender(self, app: Celery, outbox: Outbox | None) -> Sender:
        """Return who sends its jobs."""


@dataclass(slots=True)
class Sender:
    """
    Sends jobs of the demonstration, and notes which the broker took.

    Attributes:
        app: An app on the broker.
        outbox: Remembers the jobs; None in cells without one.
        queue: The queue of the nodes.
        harmless: The task of the load; all others do harm.
        prefix: What the identities of jobs begin with.
        sent: The identities of all jobs, in order.
        sent_at: When each was about to be sent, in seconds since the epoch.
        refused: Those that were not taken, as the sender was told.
        harmful: Those that do harm themselves.
    """

    app: Celery
    outbox: Outbox | None = None
    queue: str = QUEUE
    harmless: str = HARMLESS
    prefix: str = OURS
    sent: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    harmful: set[str] = field(default_factory=set)
    sent_at: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, task: str, *arguments: Any, after_s: float | None = None) -> str:
        """Send a job of the demonstration, due after so many seconds, and return its identity."""
        job = self.identity()
        if task not in {HARMLESS, self.harmless}:
            self.harmful.add(job)
        self.send_as(job, task, *arguments, after_s=after_s)
        return job

    def send_as(self, job: str, task: str, *arguments: Any, after_s: float | None = None) -> None:
        """Send a job under an identity that it has already."""
        options: dict[str, Any] = {"task_id": job, "queue": self.queue, "retry": False, "countdown": after_s}
        try:
            if self.outbox:
                self.outbox.send(self.app.signature(task, (job, *arguments)), **options)
            else:
                self.app.send_task(task, (job, *arguments), **options)
        except (OperationalError, redis.RedisError, OSError):
            self.refused.add(job)

    def send_one(self, job_s: float) -> str:
        """Send a job as the load has it, and return its identity; the demonstration's wait for so many seconds."""
        return self.send(self.harmless, job_s)

    def keep_sending(self, drill: Drill, _done: Any, ended: threading.Event) -> None:
        """Send jobs until it is told to end, each when it is due."""
        due_s = time.monotonic()
        while not ended.wait(max(0.0, due_s - time.monotonic())):
            self.send_one(drill.job_s)
            due_s += 1 / drill.rate_per_s

    def identity(self) -> str:
        """Return the identity of the next job, which counts as sent from now on."""
        with self._lock:
            job = f"{self.prefix}{len(self.sent)}"
            self.sent.append(job)
            self.sent_at[job] = time.time()
        return job


@dataclass(slots=True)
class OwnSender(Sender):
    """Sends messages that a user's app has made, in its mix."""

    own: OwnApp | None = None
    _draw: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - no secrets

    def send_one(self, job_s: float) -> str:  # noqa: ARG002 - the user's jobs take what they take
        """Send a job of the app's mix, and return its identity."""
        assert self.own is not None
        jobs = self.own.jobs[MIX if MIX in self.own.jobs else self.own.tasks[0]]
        (call,) = self._draw.choices(jobs.calls, weights=jobs.weights or None)
        job = self.identity()
        message = call.messages[call.message_index[len(self.sent) % len(call.message_index)]]
        options: dict[str, Any] = {
            "headers": {**message.headers, "id": job, "root_id": job},
            "reply_to": message.reply_to,
            **({} if message.priority is None else {"priority": message.priority}),
        }
        queue = counterpart(QUEUE, message.queue)
        if self.outbox:
            self.outbox.send(_signature(self.app, call.task, message), task_id=job, queue=queue, retry=False, **options)
            return job
        try:
            with self.app.connection_for_write() as connection:
                producer: Any = Producer(connection)
                producer.publish(
                    message.body, exchange="", routing_key=queue, content_type=message.content_type,
                    content_encoding=message.content_encoding, correlation_id=job, **options,
                )  # fmt: skip
        except (OperationalError, redis.RedisError, OSError):
            self.refused.add(job)
        return job

    def keep_sending(self, drill: Drill, done: Any, ended: threading.Event) -> None:
        """Send jobs until it is told to end, so that there are always some that wait, however long they take."""
        most = drill.nodes * SLOTS * (PREFETCH + 1)
        while not ended.wait(LOOK_S):
            while len(self.sent) - len(self.refused) - done() < most and not ended.is_set():
                self.send_one(0.0)


def why_no_outbox(own: OwnApp) -> str:
    """Return why an outbox cannot keep the jobs of a user's app; empty if it can."""
    for call in (call for jobs in own.jobs.values() for call in jobs.calls):
        if any(_plain(message) is None for message in call.messages):
            return f"an outbox keeps arguments as JSON, and those of {call.task} are not"
    return ""


def _plain(message: Message) -> list[Any] | None:
    """Return the arguments, keywords and follow-ups of a message as JSON has them; None if they are not JSON."""
    if message.content_type != "application/json":
        return None
    try:
        # Not by kombu: what JSON has no type for stays as kombu wrote it, and is sent so again.
        plain = json.loads(message.body)
    except ValueError:
        return None  # compressed
    return plain if isinstance(plain, list) else None


def _signature(app: Celery, task: str, message: Message) -> Signature:
    """
    Return the job of a message as a user's app would hand it to an outbox.

    Raises:
        FleetError: If its arguments are not JSON.
    """
    plain = _plain(message)
    if plain is None:
        raise FleetError(f"An outbox keeps arguments as JSON, and those of {task} are not.")
    args, kwargs, embedded = plain
    follow_ups = {
        "link": embedded.get("callbacks"), "link_error": embedded.get("errbacks"), "chain": embedded.get("chain"),
        "chord": embedded.get("chord"),
    }  # fmt: skip
    return app.signature(task, args, kwargs, **{name: each for name, each in follow_ups.items() if each})


class Demonstration:
    """The demonstration's jobs, which note their effects themselves."""

    visibility_s: int | None = None
    longest_s = 0.0

    def words(self) -> list[str]:
        """Return the words of `celery` that name its app, and the queue of its nodes."""
        return ["worker.drill", "-Q", QUEUE]

    def environment(self, cell: Cell, url: str, folder: Path) -> dict[str, str]:
        """Return the environment of its nodes."""
        return {
            **inherited_environment(os.environ),
            "TMPDIR": str(folder),
            "POOLRACE_BROKER_URL": url,
            "POOLRACE_ACKS": cell.acks,
        }

    def folder(self, own: Path) -> Path:
        """Return the folder in which its nodes run."""
        return own

    def sender(self, app: Celery, outbox: Outbox | None) -> Sender:
        """Return who sends its jobs."""
        return Sender(app, outbox)


@dataclass(frozen=True, slots=True)
class OwnTasks:
    """
    A user's own app, whose tasks are not changed: what a job did is what its node sees of it.

    Attributes:
        own: The app.
        visibility_s: The visibility timeout of its nodes.
        longest_s: What its jobs may take, in seconds.
    """

    own: OwnApp
    visibility_s: int | None
    longest_s: float

    def words(self) -> list[str]:
        """Return the words of `celery` that name its app; it finds its queues in its settings."""
        return ["poolrace.ownapp.drilled"]

    def environment(self, cell: Cell, url: str, folder: Path) -> dict[str, str]:
        """Return the environment of its nodes."""
        stored = keeps_results(self.own, Lane(key="drill", pool=cell.pool, slots=SLOTS))
        redirect = Redirect(
            app=self.own.app, broker_url=url, queue=QUEUE, acks=cell.acks, queues=self.own.queues,
            backend_url=backend_for(url, stored=stored), backend_prefix="poolrace.drill.", folder=str(folder),
        )  # fmt: skip
        return {**self.own.environment, **redirect.environment()}

    def folder(self, own: Path) -> Path:  # noqa: ARG002 - the user's tasks run where the user's app is
        """Return the folder in which its nodes run."""
        return self.own.folder

    def sender(self, app: Celery, outbox: Outbox | None) -> Sender:
        """Return who sends its jobs."""
        return OwnSender(app, outbox, own=self.own)
