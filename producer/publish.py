"""
Sends each job when it is due, whatever has finished (open loop), on any broker that kombu knows.

Publishers are processes of their own, so that neither collecting nor printing makes them late. Each takes every n-th
job of the plan. A job is stamped just before it is handed to kombu; what is due at the same moment goes in one batch.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from celery import Celery
from kombu import Producer
from kombu.exceptions import BatchPublishError, OperationalError  # type: ignore[attr-defined] # not in its stubs
from kombu.serialization import dumps

from poolrace.contract import HEADER, Stamp
from producer.errors import FleetError
from producer.interrupts import held
from producer.plan import Plan, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection as Pipe

    from producer.mix import Mix

BATCH_JOBS = 500
"""Most jobs in one batch: large enough to spare round trips, small enough that the first does not wait long."""

LEAD_S = 0.03
"""How far ahead a start is set, so that every publisher has its orders by then."""

SENT_SCHEMA = {
    "trial": pl.UInt32,
    "seq": pl.UInt32,
    "due_at": pl.Float64,
    "sent_at": pl.Float64,
    "accepted_at": pl.Float64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    What one trial sends.

    Attributes:
        run_id: 16 hexadecimal digits.
        trial: The trial's number.
        task: Celery's name of the task.
        args: Its positional arguments, the same for every job.
        queue: The lane's queue.
        plan: When each job is due.
        mix: Several tasks instead of the one, each with its arguments and share.
    """

    run_id: str
    trial: int
    task: str
    args: tuple[Any, ...]
    queue: str
    plan: Plan
    mix: Mix | None = None

    @property
    def calls(self) -> Sequence[tuple[str, tuple[Any, ...]]]:
        """Every task that is sent, with its arguments."""
        return self.mix.calls if self.mix else [(self.task, self.args)]


class JobSender:
    """Hands jobs to the broker, stamped; the part of a publisher that knows Celery's messages."""

    def __init__(self, app: Celery, producer: Any) -> None:
        self._app = app
        self._producer = producer
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
            self._order, self._commons = order, [self._common_to(*call) for call in order.calls]
            self._picks = order.mix.picks(order.plan.jobs) if order.mix else None
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

    def _common_to(self, task: str, args: tuple[Any, ...]) -> _Common:
        message: Any = self._app.amqp.as_task_v2("", task, args)
        content_type, content_encoding, body = dumps(message.body, serializer="json")
        headers = {name: message.headers[name] for name in ("argsrepr", "kwargsrepr", "origin")}
        return _Common(
            task=task,
            args=args,
            headers=headers,
            body=body,
            content_type=content_type,
            content_encoding=content_encoding,
        )

    def _publish(self, order: Order, seq: int, due_at: float, sent_at: float) -> None:
        common = self._commons[0 if self._picks is None else self._picks[seq]]
        job_id = f"{order.run_id}-{order.trial}-{seq}"
        message: Any = self._app.amqp.as_task_v2(job_id, common.task, common.args, ignore_result=True, **common.headers)
        stamp = Stamp(run_id=order.run_id, trial=order.trial, seq=seq, due_at=due_at, sent_at=sent_at)
        message.headers[HEADER] = stamp.to_header()
        self._producer.publish(
            common.body,
            exchange="",
            routing_key=order.queue,
            content_type=common.content_type,
            content_encoding=common.content_encoding,
            headers=message.headers,
            **message.properties,
        )


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

    Returns:
        One row a job, in the layout of `SENT_SCHEMA`; `accepted_at` is null where the broker did not take it.
    """
    number, parts = part
    seqs, due_s = split(order.plan, parts, number)
    due_at = due_s + start_at
    sent_at = np.full(len(seqs), np.nan)
    accepted_at = np.full(len(seqs), np.nan)
    first = 0
    while first < len(seqs):
        wait_s = due_at[first] - now()
        if wait_s > 0:
            sleep(wait_s)
        last = min(_first_not_due(due_at, now()), first + BATCH_JOBS)
        if last == first:
            continue
        jobs = list(zip(seqs[first:last].tolist(), due_at[first:last].tolist(), strict=True))
        try:
            sent_at[first:last] = send(order, jobs, now)
            accepted_at[first:last] = now()
        except OperationalError:
            sent_at[first:last] = now()
        first = last
    return _ledger(order.trial, seqs, due_at, sent_at, accepted_at)


def _first_not_due(due_at: npt.NDArray[np.float64], now: float) -> int:
    return int(np.searchsorted(due_at, now, side="right"))


def _ledger(trial: int, seqs: Any, due_at: Any, sent_at: Any, accepted_at: Any) -> pl.DataFrame:
    columns = {"trial": np.full(len(seqs), trial), "seq": seqs, "due_at": due_at, "sent_at": sent_at}
    frame = pl.DataFrame({**columns, "accepted_at": accepted_at}).cast(SENT_SCHEMA)  # type: ignore[arg-type]
    return frame.with_columns(pl.col("accepted_at").fill_nan(None))


def publisher_main(broker_url: str, pipe: Pipe, part: tuple[int, int]) -> None:
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
        sender = JobSender(app, Producer(connection))
        while True:
            order, start_at = pipe.recv()
            pipe.send(send_when_due(order, start_at=start_at, part=part, send=sender.send))


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
        process = context.Process(
            target=publisher_main, args=(self._broker_url, there, (number, self._count)), daemon=True
        )
        # The first process of its kind starts a helper, which unblocks Ctrl-C for all that come after it.
        resource_tracker.ensure_running()
        with held(), _sigint_blocked():
            process.start()
            self._processes.append(process)
        there.close()
        self._pipes.append(here)

    def begin(self, order: Order) -> float:
        """
        Give every publisher its share of an order; returns the instant of the plan's zero.

        Raises:
            FleetError: If a publisher is gone.
        """
        start_at = time.time() + LEAD_S
        # Pickled here: what Connection.send pickles by itself is left half freed, with a warning, if a pipe is broken.
        share = pickle.dumps((order, start_at))
        with _telling_of_the_dead():
            for pipe in self._pipes:
                pipe.send_bytes(share)
        return start_at

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
