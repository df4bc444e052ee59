"""
A publisher that serves runs of other hosts: it takes its share of their orders over the broker, and sends it.

It is `poolrace publisher`. It serves one run after the other. An order of a run that has ended, or was killed, is given
up as soon as the run's lease of the fleet is gone.
"""

from __future__ import annotations

import io
import json
import os
import queue
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kombu import Producer
from kombu.exceptions import OperationalError

from poolrace.clock import BrokerClock, broker_offset
from producer.errors import FleetError
from producer.fleet.broker_errors import needing_broker
from producer.fleet.lease import LEASE_KEY
from producer.measure import publishing_keys as keys
from producer.measure.order_wire import decode, encode, unpack
from producer.measure.schedule import OrderRevisions, send_when_due
from producer.measure.sender import JobSender

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl
    from celery import Celery

    from producer.measure.order import Order

NOT_REDIS = "--broker: publishers of several hosts are given their orders over Redis, and that broker is not Redis."
TAKE_S = 1
"""How long a publisher waits for an order before it looks whether it should end."""


class GivenUpError(Exception):
    """The run whose order is sent is gone."""


class PublisherService:
    """Takes orders and sends its share of them, until it is stopped."""

    def __init__(self, app: Celery, name: str = "", on_order: Callable[[str], None] = lambda _: None) -> None:
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._app = app
        self._on_order = on_order
        self._over = threading.Event()
        self._orders: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._counts = [0, 0]
        self._revisions = OrderRevisions(self._counts)
        self._run_id: str | None = None
        self._gone = threading.Event()
        self._trouble: FleetError | None = None

    def stop(self) -> None:
        """End soon, in the middle of an order, too."""
        self._over.set()
        self._gone.set()
        self._orders.put(None)

    def run(self) -> None:
        """
        Serve until `stop`.

        Raises:
            FleetError: If the broker is not Redis, or is gone.
        """
        with needing_broker(), self._app.connection_for_write() as connection:
            client = client_of(connection)
            helpers = [
                threading.Thread(target=self._guarded, args=(work,), name=work.__name__, daemon=True)
                for work in (self._say, self._listen)
            ]
            for helper in helpers:
                helper.start()
            try:
                self._serve(connection, client)
            finally:
                self.stop()
                for helper in helpers:
                    helper.join(timeout=2 * TAKE_S)
                with suppress(*connection.connection_errors):  # what is left expires
                    client.srem(keys.ALL, self.name)
                    client.delete(keys.alive(self.name), keys.orders(self.name))
            if self._trouble is not None:
                raise self._trouble

    def _guarded(self, work: Callable[[Any], None]) -> None:
        """Run a helper on a connection of its own; if the broker is gone, the service ends with that."""
        try:
            with needing_broker(), self._app.connection_for_write() as connection:
                work(client_of(connection))
        except FleetError as error:
            self._trouble = error
        finally:
            self.stop()

    def _say(self, client: Any) -> None:
        """Say again and again that it lives, how many jobs it has sent; and see whether the run still has its lease."""
        about = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "poolrace": keys.VERSION})
        while not self._over.is_set():
            client.set(keys.alive(self.name), about, ex=keys.ALIVE_S)
            client.sadd(keys.ALL, self.name)
            if run_id := self._run_id:
                self._count(client, run_id)
                if client.get(LEASE_KEY) != run_id.encode():
                    self._gone.set()
            self._over.wait(keys.SAY_S)

    def _count(self, client: Any, run_id: str) -> None:
        client.hset(keys.counts(run_id), self.name, "{} {}".format(*self._counts))
        client.expire(keys.counts(run_id), keys.TOLD_LEFT_S)

    def _listen(self, client: Any) -> None:
        while not self._over.is_set():
            taken = client.blpop([keys.orders(self.name)], timeout=TAKE_S)
            if taken is None:
                continue
            message = decode(taken[1])
            if message["kind"] == "revise":
                self._revisions.revise(unpack(message["order"]))
            else:
                self._orders.put(message)

    def _serve(self, connection: Any, client: Any) -> None:
        sender = JobSender(self._app, Producer(connection))
        order: Order | None = None
        part = (0, 1)
        while not self._over.is_set() and (message := self._orders.get()):
            run_id = message["run_id"]
            if message["kind"] == "order":
                order, part = unpack(message["order"]), (message["number"], message["of"])
                self._revisions = OrderRevisions(self._counts)  # an earlier run may have had a trial of that number
                self._on_order(f"{order.plan.jobs} jobs of run {run_id}, {part[0] + 1} of {part[1]}")
                self._answer(client, run_id, "ready", trial=order.trial, **clock_of(connection))
            elif order is not None and order.run_id == run_id:
                self._send(connection, client, sender, order, part, message["start_at"])

    def _send(
        self, connection: Any, client: Any, sender: JobSender, order: Order, part: tuple[int, int], start_at: float
    ) -> None:
        clock = BrokerClock(broker_offset(connection).correction_s)
        self._counts[:] = [0, 0]
        self._gone.clear()
        if self._over.is_set():  # stopped meanwhile: what was cleared may have been that
            return
        self._run_id = order.run_id
        try:
            ledger = send_when_due(
                order, start_at=start_at, part=part, send=sender.send, now=clock.now, sleep=self._sleep,
                revisions=self._revisions,
            )  # fmt: skip
        except GivenUpError:
            self._on_order(f"run {order.run_id} is gone; its jobs are no longer sent")
            return
        finally:
            self._run_id = None
        self._count(client, order.run_id)
        self._answer(client, order.run_id, "sent", trial=order.trial, ledger=as_bytes(ledger))

    def _sleep(self, seconds: float) -> None:
        if self._gone.wait(seconds):
            raise GivenUpError

    def _answer(self, client: Any, run_id: str, kind: str, **fields: Any) -> None:
        client.rpush(keys.answers(run_id), encode(kind, name=self.name, **fields))
        client.expire(keys.answers(run_id), keys.TOLD_LEFT_S)


def client_of(connection: Any) -> Any:
    """
    Return the Redis client of a connection.

    Raises:
        FleetError: If the broker is not Redis, or cannot be reached.
    """
    try:
        client = getattr(connection.default_channel, "client", None)
    except OperationalError as error:
        raise FleetError(f"A publisher cannot reach the broker: {error}.") from error
    if not hasattr(client, "blpop"):
        raise FleetError(NOT_REDIS)
    return client


def clock_of(connection: Any) -> dict[str, float]:
    """Return how far this machine's clock is from the broker's, and by how much that may be wrong, in seconds."""
    offset = broker_offset(connection)
    return {"offset_s": offset.offset_s, "bound_s": offset.bound_s}


def as_bytes(ledger: pl.DataFrame) -> bytes:
    """Return a ledger in Arrow's format, compressed."""
    buffer = io.BytesIO()
    ledger.write_ipc(buffer, compression="zstd")
    return buffer.getvalue()
