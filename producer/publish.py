"""
Sends each job when it is due, whatever has finished (open loop), on any broker that kombu knows.

Publishers are processes of their own, so that neither collecting nor printing makes them late. Each takes every n-th
job of the plan. A job is stamped just before it is handed to kombu; what is due at the same moment goes in one batch.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from celery import Celery
from kombu import Producer
from kombu.exceptions import BatchPublishError, OperationalError  # type: ignore[attr-defined] # not in its stubs
from kombu.serialization import dumps

from poolrace.contract import HEADER, Stamp
from poolrace.ownapp.routing import counterpart
from producer.errors import FleetError
from producer.interrupts import held
from producer.plan import Plan, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection as Pipe


BATCH_JOBS = 500
"""Most jobs in one batch: large enough to spare round trips, small enough that the first does not wait long."""

PAYLOAD = "payload"
"""The keyword argument that only makes a message longer."""

LOOK_S = 0.05
"""How long a publisher may sleep before it looks whether its order has been revised."""

REVISION_LEAD_S = 0.3
"""How far ahead a change of plan takes effect, so that every publisher knows of it by then."""

LEAD_S = 0.03
"""How far ahead a start is set, so that every publisher has its orders by then."""

SENT_SCHEMA = {
    "trial": pl.UInt32,
    "seq": pl.UInt32,
    "part": pl.UInt8,
    "due_at": pl.Float64,
    "sent_at": pl.Float64,
    "accepted_at": pl.Float64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """
    A job of a user's app as it goes over the wire, without what differs from one of its kind to the next.

    Attributes:
        body: The task's arguments, serialised by the app.
        content_type: Of the body.
        content_encoding: Of the body.
        headers: Celery's, and those of the job file.
        reply_to: Where the app wants its results; empty for nowhere.
        priority: Of the message; None for none.
        queue: Which of the app's own queues it goes to, or its counterpart; empty for the default queue.
    """

    body: bytes | str
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any]
    reply_to: str = ""
    priority: int | None = None
    queue: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """
    A task as it is called, the same for every job of its kind.

    Attributes:
        task: Celery's name of the task.
        args: Its positional arguments.
        workload: What the job does, for whoever counts.
        payload_bytes: Length of a text that the message carries besides and the task ignores; 0 for none.
        messages: What is sent instead of the arguments, as a user's own app made it.
        picks: Which of those each job is, by number; a job beyond the last begins again with the first.
    """

    task: str
    args: tuple[Any, ...] = ()
    workload: str = ""
    payload_bytes: int = 0
    messages: tuple[Message, ...] = ()
    picks: tuple[int, ...] = ()

    @property
    def keywords(self) -> dict[str, Any]:
        """Keyword arguments of the task."""
        return {PAYLOAD: "x" * self.payload_bytes} if self.payload_bytes else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    What one trial sends.

    Attributes:
        run_id: 16 hexadecimal digits.
        trial: The trial's number.
        calls: What jobs do; a plan of several parts says which of these each job is.
        queue: The lane's queue.
        plan: When each job is due.
        priority: Of the messages; None to leave it out.
        open_s: Until when, in seconds from the plan's zero, another order may take this one's place.
    """

    run_id: str
    trial: int
    calls: tuple[Call, ...]
    queue: str
    plan: Plan
    priority: int | None = None
    open_s: float = 0.0


class Desk:
    """Where a publisher at work finds an order that takes the place of the one it works on, and says how far it is."""

    def __init__(self, counts: Any) -> None:
        self._counts = counts
        self._latest: Order | None = None

    def revise(self, order: Order) -> None:
        """Have an order take the place of the one before; jobs that are due sooner than any that differ stay."""
        self._latest = order

    def revision(self, order: Order) -> Order | None:
        """What is to be done instead of this order; None if it still holds."""
        latest = self._latest
        return latest if latest is not None and latest is not order and latest.trial == order.trial else None

    def count(self, accepted: int, refused: int) -> None:
        """Note jobs that the broker took, and that it did not."""
        self._counts[0] += accepted
        self._counts[1] += refused


class JobSender:
    """Hands jobs to the broker, stamped; the part of a publisher that knows Celery's messages."""

    def __init__(self, app: Celery, producer: Any) -> None:
        self._app = app
        self._producer = producer
        _keep_client(producer.channel)
        self._order: Order | None = None

    def send(self, order: Order, jobs: Sequence[tuple[int, float]], now: Callable[[], float]) -> list[float]:
        """
        Send jobs in one batch.

        Args:
            order: What to send.
            jobs: Sequence number and due instant of each.
            now: The clock.

        Returns:
            When each was sent: just before it was handed to kombu.

        Raises:
            OperationalError: If the broker did not take them all; which of them it took is not known.
        """
        sent = []
        if order is not self._order:
            self._order, self._commons = order, [self._common_to(call) for call in order.calls]
        try:
            with self._producer.batch(BATCH_JOBS):
                for seq, due_at in jobs:
                    sent_at = now()
                    self._publish(order, seq, due_at, sent_at)
                    sent.append(sent_at)
        except (BatchPublishError, *self._refusals()) as error:
            # kombu wraps what goes wrong in a batch, if in an error that is not one of operation, and nothing of what
            # goes wrong on the way into it.
            raise OperationalError(str(error)) from error
        return sent

    def _refusals(self) -> tuple[type[Exception], ...]:
        connection = self._producer.connection
        return (*connection.connection_errors, *connection.channel_errors)

    def _common_to(self, call: Call) -> _Common:
        message: Any = self._app.amqp.as_task_v2("", call.task, call.args, call.keywords)
        content_type, content_encoding, body = dumps(message.body, serializer="json")
        headers = {name: message.headers[name] for name in ("argsrepr", "kwargsrepr", "origin")}
        return _Common(
            task=call.task,
            args=call.args,
            headers=headers,
            body=body,
            content_type=content_type,
            content_encoding=content_encoding,
        )

    def _publish(self, order: Order, seq: int, due_at: float, sent_at: float) -> None:
        part = order.plan.part(seq)
        common = self._commons[part]
        job_id = f"{order.run_id}-{order.trial}-{seq}"
        stamp = Stamp(run_id=order.run_id, trial=order.trial, seq=seq, due_at=due_at, sent_at=sent_at)
        if order.calls[part].messages:
            self._publish_as_made(order, order.calls[part], seq, job_id, stamp)
            return
        message: Any = self._app.amqp.as_task_v2(job_id, common.task, common.args, ignore_result=True, **common.headers)
        message.headers[HEADER] = stamp.to_header()
        self._producer.publish(
            common.body,
            exchange="",
            routing_key=order.queue,
            content_type=common.content_type,
            content_encoding=common.content_encoding,
            headers=message.headers,
            **({} if order.priority is None else {"priority": order.priority}),
            **message.properties,
        )

    def _publish_as_made(self, order: Order, call: Call, seq: int, job_id: str, stamp: Stamp) -> None:
        message = call.messages[call.picks[seq % len(call.picks)]]
        priority = message.priority if order.priority is None else order.priority
        self._producer.publish(
            message.body,
            exchange="",
            routing_key=counterpart(order.queue, message.queue),
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers={**message.headers, "id": job_id, "root_id": job_id, HEADER: stamp.to_header()},
            correlation_id=job_id,
            reply_to=message.reply_to,
            **({} if priority is None else {"priority": priority}),
        )


def _keep_client(channel: Any) -> None:
    """
    Have a channel of kombu's Redis transport use one client.

    By itself it makes one for every batch; that costs as much as two jobs, which shows as lag at high rates.
    """
    if not hasattr(channel, "conn_or_acquire"):
        return
    kept: Any = None

    def conn_or_acquire(client: Any = None) -> Any:
        nonlocal kept
        if kept is None or kept.connection_pool is not channel.pool:
            kept = channel._create_client()  # noqa: SLF001 # kombu has no other name for it
        return nullcontext(client or kept)

    channel.conn_or_acquire = conn_or_acquire


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    """
    What the messages of one task have in common.

    Worked out once an order instead of once a job: it is nearly half of what a message costs.

    Attributes:
        task: Celery's name of it.
        args: Its positional arguments.
        headers: Celery's headers that cost most to make.
        body: The task's arguments, serialised.
        content_type: Of the body.
        content_encoding: Of the body.
    """

    task: str
    args: tuple[Any, ...]
    headers: Mapping[str, Any]
    body: bytes | str
    content_type: str
    content_encoding: str


def send_when_due(
    order: Order,
    *,
    start_at: float,
    part: tuple[int, int],
    send: Callable[[Order, Sequence[tuple[int, float]], Callable[[], float]], list[float]],
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    desk: Desk | None = None,
) -> pl.DataFrame:
    """
    Work through a plan's share: sleep until the next job is due, then send all that are.

    Late jobs are sent at once and keep the due instant of the plan, so lateness shows as publish lag and nothing else.

    Args:
        order: What to send.
        start_at: Instant of the plan's zero.
        part: This publisher's number, and how many there are.
        send: Hands a batch to the broker.
        now: The clock; a test passes its own.
        sleep: Waits; likewise.
        desk: Where another order may take this one's place.

    Returns:
        One row a job, in the layout of `SENT_SCHEMA`; `accepted_at` is null where the broker did not take it.
    """
    desk = desk or Desk([0, 0])
    share = _Share(order, start_at, part)
    while True:
        if revised := desk.revision(share.order):
            share = share.revised(revised)
        next_at = share.next_at(now())
        if next_at is None:
            return share.ledger()
        wait_s = next_at - now()
        if wait_s > 0:
            sleep(min(wait_s, LOOK_S) if share.order.open_s else wait_s)
        jobs = share.due(now())
        if not jobs:
            continue
        try:
            share.sent(send(share.order, jobs, now), now())
            desk.count(len(jobs), 0)
        except OperationalError:
            share.refused(len(jobs), now())
            desk.count(0, len(jobs))


class _Share:
    """One publisher's part of an order, and what became of it."""

    def __init__(self, order: Order, start_at: float, part: tuple[int, int]) -> None:
        number, parts = part
        self.order = order
        self._start_at = start_at
        self._part = part
        self._seqs, due_s = split(order.plan, parts, number)
        self._due_at = due_s + start_at
        self._sent_at = np.full(len(self._seqs), np.nan)
        self._accepted_at = np.full(len(self._seqs), np.nan)
        self._first = 0

    def revised(self, order: Order) -> _Share:
        """The share of another order, whose first jobs are those that have been sent."""
        new = _Share(order, self._start_at, self._part)
        done = self._first
        for name in ("_seqs", "_due_at", "_sent_at", "_accepted_at"):
            setattr(new, name, np.concatenate([getattr(self, name)[:done], getattr(new, name)[done:]]))
        new._first = done
        return new

    def next_at(self, now: float) -> float | None:
        """When there is something to do; None if nothing is left and no other order can come."""
        if self._first < len(self._seqs):
            return float(self._due_at[self._first])
        open_until = self._start_at + self.order.open_s
        return open_until if now < open_until else None

    def due(self, now: float) -> list[tuple[int, float]]:
        """The next batch: sequence number and due instant of each job that is due."""
        last = min(int(np.searchsorted(self._due_at, now, side="right")), self._first + BATCH_JOBS)
        here = slice(self._first, max(last, self._first))
        return list(zip(self._seqs[here].tolist(), self._due_at[here].tolist(), strict=True))

    def sent(self, sent_at: Sequence[float], accepted_at: float) -> None:
        """Note that the broker took the next jobs."""
        here = slice(self._first, self._first + len(sent_at))
        self._sent_at[here] = sent_at
        self._accepted_at[here] = accepted_at
        self._first += len(sent_at)

    def refused(self, jobs: int, sent_at: float) -> None:
        """Note that it did not."""
        self._sent_at[self._first : self._first + jobs] = sent_at
        self._first += jobs

    def ledger(self) -> pl.DataFrame:
        """One row a job."""
        columns = {
            "trial": np.full(len(self._seqs), self.order.trial),
            "seq": self._seqs,
            "part": self.order.plan.parts_of(self._seqs),
            "due_at": self._due_at,
            "sent_at": self._sent_at,
            "accepted_at": self._accepted_at,
        }
        frame = pl.DataFrame(columns).cast(SENT_SCHEMA)  # type: ignore[arg-type]
        return frame.with_columns(pl.col("accepted_at").fill_nan(None))


def publisher_main(broker_url: str, pipe: Pipe, part: tuple[int, int], counts: Any) -> None:
    """A publisher process: takes an order and a start, sends, gives the ledger back; ends when the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    app = Celery("publisher", broker=broker_url)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError), app.connection_for_write() as connection:
        try:
            connection.ensure_connection(max_retries=2)
        except OperationalError as error:
            pipe.send(FleetError(f"A publisher cannot reach the broker: {error}."))
            return
        pipe.send("ready")
        sender, desk = JobSender(app, Producer(connection)), Desk(counts)
        orders: queue.SimpleQueue[tuple[Order, float] | None] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(pipe, orders, desk), name="orders", daemon=True).start()
        while ordered := orders.get():
            order, start_at = ordered
            pipe.send(send_when_due(order, start_at=start_at, part=part, send=sender.send, desk=desk))


def _listen(pipe: Pipe, orders: queue.SimpleQueue[tuple[Order, float] | None], desk: Desk) -> None:
    """Take orders off the pipe while others are worked on: new ones wait their turn, revisions take effect at once."""
    with suppress(EOFError, OSError):
        while True:
            order, start_at = pipe.recv()
            if start_at is None:
                desk.revise(order)
            else:
                orders.put((order, start_at))
    orders.put(None)


def _end_with_parent() -> None:
    # A publisher at work does not look at the pipe, and nobody is left to read what it would say.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """A process started here never sees Ctrl-C: that is for the one that gives the orders, which closes the pipe."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _telling_of_the_dead() -> Iterator[None]:
    try:
        yield
    except (EOFError, BrokenPipeError, ConnectionResetError) as error:
        raise FleetError("A publisher process died. Run the same command again.") from error


class Publishers:
    """
    Publisher processes, ready to send.

    Use as a context manager; leaving it ends them, whatever they were doing.
    """

    def __init__(self, broker_url: str, count: int = 1) -> None:
        self._broker_url = broker_url
        self._count = count
        self._processes: list[Any] = []
        self._pipes: list[Pipe] = []
        self._counts: list[Any] = []
        self._counted = [0, 0]

    def __enter__(self) -> Self:
        try:
            for number in range(self._count):
                self._start(number)
            self._gather()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        counts = context.RawArray("Q", 2)
        process = context.Process(
            target=publisher_main, args=(self._broker_url, there, (number, self._count), counts), daemon=True
        )
        # The first process of its kind starts a helper, which unblocks Ctrl-C for all that come after it.
        resource_tracker.ensure_running()
        with held(), _sigint_blocked():
            process.start()
            self._processes.append(process)
        there.close()
        self._pipes.append(here)
        self._counts.append(counts)

    def begin(self, order: Order) -> float:
        """
        Give every publisher its share of an order; returns the instant of the plan's zero.

        Raises:
            FleetError: If a publisher is gone.
        """
        start_at = time.time() + LEAD_S
        self._counted = self._totals()
        self._give(order, start_at)
        return start_at

    def revise(self, order: Order) -> None:
        """
        Have an order take the place of the one that is worked on, of the same trial; what was sent stays as it is.

        Raises:
            FleetError: If a publisher is gone.
        """
        self._give(order, None)

    def progress(self) -> tuple[int, int]:
        """How many jobs of the order the broker has taken so far, and how many it has not."""
        accepted, refused = (now - before for now, before in zip(self._totals(), self._counted, strict=True))
        return accepted, refused

    def _totals(self) -> list[int]:
        return [sum(counts[kind] for counts in self._counts) for kind in (0, 1)]

    def _give(self, order: Order, start_at: float | None) -> None:
        # Pickled here: what Connection.send pickles by itself is left half freed, with a warning, if a pipe is broken.
        share = pickle.dumps((order, start_at))
        with _telling_of_the_dead():
            for pipe in self._pipes:
                pipe.send_bytes(share)

    def ledger(self) -> pl.DataFrame:
        """
        What was sent, once all publishers are through; in order of sequence.

        Raises:
            FleetError: If a publisher is gone.
        """
        shares: list[pl.DataFrame] = self._gather()
        return pl.concat(shares).sort("seq")

    def _gather(self) -> list[Any]:
        with _telling_of_the_dead():
            answers: dict[Any, Any] = {}
            while len(answers) < len(self._pipes):
                # Whoever is first: a dead one is noticed while the others are still at work.
                ready: list[Any] = wait([pipe for pipe in self._pipes if pipe not in answers])
                answers |= {pipe: pipe.recv() for pipe in ready}
        for answer in answers.values():
            if isinstance(answer, FleetError):
                raise answer
        return list(answers.values())

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=1)
            if process.is_alive():
                process.kill()
                process.join()
