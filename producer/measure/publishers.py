"""
Sends each job when it is due, whatever has finished (open loop), on any broker that kombu supports.

Publishers are processes of their own, so that neither collecting nor printing delays them. Each takes every n-th job
of the plan. A job is stamped just before it is handed to kombu; jobs that are due at the same time go in one batch.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self

import polars as pl
from celery import Celery
from kombu import Producer
from kombu.exceptions import OperationalError

from poolrace.clock import THIS_MACHINE, BrokerClock
from producer.errors import FleetError
from producer.interrupts import held
from producer.measure.schedule import OrderRevisions, send_when_due
from producer.measure.sender import JobSender

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection as Pipe

    from producer.measure.order import Order

LEAD_S = 0.03
"""How far ahead a start is set, so that every publisher has its order by then."""


def publisher_main(broker_url: str, pipe: Pipe, part: tuple[int, int], counts: Any, clock: BrokerClock) -> None:
    """Run a publisher process: take an order and a start, send, return the ledger; end when the pipe closes."""
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
        sender, revisions = JobSender(app, Producer(connection)), OrderRevisions(counts)
        orders: queue.SimpleQueue[tuple[Order, float] | None] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(pipe, orders, revisions), name="orders", daemon=True).start()
        while ordered := orders.get():
            order, start_at = ordered
            pipe.send(
                send_when_due(order, start_at=start_at, part=part, send=sender.send, now=clock.now, revisions=revisions)
            )


def _listen(pipe: Pipe, orders: queue.SimpleQueue[tuple[Order, float] | None], revisions: OrderRevisions) -> None:
    """Take orders off the pipe while one is worked on: new ones wait, revisions take effect at once."""
    with suppress(EOFError, OSError):
        while True:
            order, start_at = pipe.recv()
            if start_at is None:
                revisions.revise(order)
            else:
                orders.put((order, start_at))
    orders.put(None)


def _end_with_parent() -> None:
    # A publisher that is sending does not read the pipe, and nobody is left to read its answer.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Start processes that never see Ctrl-C: the one that gives the orders handles it and closes the pipe."""
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

    Use as a context manager; leaving it ends them, whatever they are doing. They stamp and note by the clock that they
    are given, which is the broker's.
    """

    def __init__(self, broker_url: str, count: int = 1, clock: BrokerClock = THIS_MACHINE) -> None:
        self._broker_url = broker_url
        self._count = count
        self._clock = clock
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
            target=publisher_main,
            args=(self._broker_url, there, (number, self._count), counts, self._clock),
            daemon=True,
        )
        # The first spawned process starts the resource tracker, which unblocks Ctrl-C for those that follow.
        resource_tracker.ensure_running()
        with held(), _sigint_blocked():
            process.start()
            self._processes.append(process)
        there.close()
        self._pipes.append(here)
        self._counts.append(counts)

    def begin(self, order: Order) -> float:
        """
        Give every publisher its share of an order; return the instant of the plan's zero, on the broker's clock.

        Raises:
            FleetError: If a publisher is gone.
        """
        start_at = self._clock.now() + LEAD_S
        self._counted = self._totals()
        self._give(order, start_at)
        return start_at

    def revise(self, order: Order) -> None:
        """
        Replace the order that is worked on by another of the same trial; what was sent stays as it is.

        Raises:
            FleetError: If a publisher is gone.
        """
        self._give(order, None)

    def progress(self) -> tuple[int, int]:
        """Return how many jobs of the order the broker has accepted and refused so far."""
        accepted, refused = (now - before for now, before in zip(self._totals(), self._counted, strict=True))
        return accepted, refused

    def _totals(self) -> list[int]:
        return [sum(counts[kind] for counts in self._counts) for kind in (0, 1)]

    def _give(self, order: Order, start_at: float | None) -> None:
        # Pickled here: if the pipe is broken, what Connection.send pickles itself is left half freed, with a warning.
        share = pickle.dumps((order, start_at))
        with _telling_of_the_dead():
            for pipe in self._pipes:
                pipe.send_bytes(share)

    def ledger(self) -> pl.DataFrame:
        """
        Wait until all publishers have sent everything, and return it in order of sequence.

        Raises:
            FleetError: If a publisher is gone.
        """
        shares: list[pl.DataFrame] = self._gather()
        return pl.concat(shares).sort("seq")

    def _gather(self) -> list[Any]:
        with _telling_of_the_dead():
            answers: dict[Any, Any] = {}
            while len(answers) < len(self._pipes):
                # Any order: a dead publisher is noticed while the others are still sending.
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
