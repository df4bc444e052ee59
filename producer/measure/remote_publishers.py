"""Publishers of other hosts, as a run sees them: each has its share of every order, and sends it from where it is."""

from __future__ import annotations

import io
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from poolrace.clock import THIS_MACHINE, BrokerClock
from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet.broker_errors import needing_broker
from producer.measure import publishing_keys as keys
from producer.measure.order_wire import decode, encode, pack
from producer.measure.publisher_service import client_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from celery import Celery

    from producer.measure.order import Order

LEAD_S = 0.2
"""How far ahead a start is set once every publisher has its order: a message to each, over the broker."""
FIND_S = 30.0
LOOK_S = 0.5
TAKE_S = 1


class RemotePublishers:
    """
    Publishers that run on other hosts, ready to send.

    Use as a context manager. They stamp and note by the broker's clock; how far that is from their hosts' they say with
    each order.
    """

    def __init__(self, app: Celery, run_id: str, expected: int, clock: BrokerClock = THIS_MACHINE) -> None:
        self._connection = app.connection_for_write()
        self._run_id = run_id
        self._expected = expected
        self._clock = clock
        self._names: Sequence[str] = ()
        self._looked_s = time.monotonic()
        self._trial = 0
        self.clocks: dict[str, Mapping[str, float]] = {}

    def __enter__(self) -> Self:
        try:
            with needing_broker():
                self._client = client_of(self._connection)
                self._names = self._find()
        except BaseException:
            self._connection.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with suppress(*self._connection.connection_errors):  # what is left expires
                self._client.delete(keys.answers(self._run_id), keys.counts(self._run_id))
        finally:
            self._connection.release()

    def begin(self, order: Order) -> float:
        """
        Give every publisher its share of an order; return the instant of the plan's zero, on the broker's clock.

        Raises:
            FleetError: If a publisher is gone.
        """
        with needing_broker():
            self._client.delete(keys.counts(self._run_id))
        self._give("order", order=pack(order))
        ready = self._gather("ready", order.trial)
        self.clocks = {name: {"offset_s": each["offset_s"], "bound_s": each["bound_s"]} for name, each in ready.items()}
        start_at = self._clock.now() + LEAD_S
        self._trial = order.trial
        self._give("start", start_at=start_at)
        return start_at

    def revise(self, order: Order) -> None:
        """Replace the order that is worked on by another of the same trial; what was sent stays as it is."""
        self._give("revise", order=pack(order))

    def progress(self) -> tuple[int, int]:
        """
        Return how many jobs of the order the broker has accepted and refused, as of half a second ago.

        Raises:
            FleetError: If a publisher is gone.
        """
        with needing_broker():
            self._miss(self._names)
            said = [text.split() for text in self._client.hvals(keys.counts(self._run_id))]
        return sum(int(accepted) for accepted, _ in said), sum(int(refused) for _, refused in said)

    def ledger(self) -> pl.DataFrame:
        """
        Wait until all publishers have sent everything, and return it in order of sequence.

        Raises:
            FleetError: If a publisher is gone.
        """
        shares = self._gather("sent", self._trial).values()
        return pl.concat([pl.read_ipc(io.BytesIO(each["ledger"])) for each in shares]).sort("seq")

    def _find(self) -> Sequence[str]:
        """Wait for the publishers that were asked for, and return their names."""
        found: Mapping[str, Mapping[str, Any]] = {}

        def all_there() -> bool:
            nonlocal found
            found = self._alive()
            return len(found) >= self._expected

        until(all_there, FIND_S, every_s=LOOK_S)
        if len(found) != self._expected:
            raise FleetError(_how_many(sorted(found), self._expected))
        if strangers := {name: each["poolrace"] for name, each in found.items() if each["poolrace"] != keys.VERSION}:
            told = ", ".join(f"{name} has {version}" for name, version in sorted(strangers.items()))
            raise FleetError(f"--expect-publishers: this is Poolrace {keys.VERSION}, and {told}. Install one version.")
        return sorted(found)

    def _alive(self) -> Mapping[str, Mapping[str, Any]]:
        said = {each.decode(): self._client.get(keys.alive(each.decode())) for each in self._client.smembers(keys.ALL)}
        if dead := [name for name, about in said.items() if about is None]:
            self._client.srem(keys.ALL, *dead)
        return {name: json.loads(about) for name, about in said.items() if about is not None}

    def _give(self, kind: str, **fields: Any) -> None:
        with needing_broker():
            for number, name in enumerate(self._names):
                message = encode(kind, run_id=self._run_id, number=number, of=len(self._names), **fields)
                self._client.rpush(keys.orders(name), message)
                self._client.expire(keys.orders(name), keys.ORDER_LEFT_S)

    def _gather(self, kind: str, trial: int) -> Mapping[str, Mapping[str, Any]]:
        """Wait for an answer of each publisher; one that dies meanwhile is noticed."""
        answers: dict[str, Mapping[str, Any]] = {}
        while len(answers) < len(self._names):
            with needing_broker():
                taken = self._client.blpop([keys.answers(self._run_id)], timeout=TAKE_S)
                self._miss(set(self._names) - set(answers))
            answer = decode(taken[1]) if taken is not None else {}
            if (answer.get("kind"), answer.get("trial")) == (kind, trial):
                answers[answer["name"]] = answer
        return answers

    def _miss(self, names: Collection[str]) -> None:
        """See every few seconds that publishers still live."""
        if time.monotonic() - self._looked_s > keys.ALIVE_S:
            self._looked_s = time.monotonic()
            if dead := sorted(set(names) - set(self._alive())):
                raise FleetError(f"No word from {', '.join(dead)} any more. See its own log, and run again.")


def _how_many(found: Sequence[str], expected: int) -> str:
    names = ", ".join(found) or "none"
    if len(found) > expected:
        return (
            f"--expect-publishers {expected}: {len(found)} publishers are on that broker: {names}. All of them have to "
            "take part: name as many, or stop some."
        )
    return (
        f"--expect-publishers {expected}: only {len(found)} on that broker: {names}. Start one on each host that is to "
        "send: poolrace publisher --broker URL."
    )
