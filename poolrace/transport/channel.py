"""A channel that takes messages in batches, in one step with noting them, and acknowledges them in batches."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty
from threading import RLock, get_ident
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import redis
from kombu.log import get_logger
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from kombu.utils.scheduling import priority_cycle
from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from poolrace.transport.list_waiter import Waiter
from poolrace.transport.qos import UNFIT, QoS
from poolrace.transport.script import SHA, TAKE, Broken, Lists, Places, Taken, arguments, read_answer
from poolrace.transport.servers import UnfitServerError, check_server, refusing_old_servers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

logger = get_logger(__name__)

Base: Any = object  # in truth the class that this is mixed into

BATCH_MOST = 200
"""Messages of one step: what the server does meanwhile is nothing else."""

ACKS_MOST = 1000
"""Acknowledgements of one step."""

WAITERS_MOST = 16
"""Connections that wait on a list each; lists beyond that are looked at whenever a wait ends."""

DELIVER_FOR_S = 0.005
"""After that the event loop has its turn: on the solo pool to deliver is to run the job."""

PAUSE_S = 1.0
"""Between tries, while the server answers with errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    What the server was asked in one step.

    Attributes:
        queues: Those of the lists.
        lists: Where to take from.
        room: How many messages at most.
        acks: The delivery tags that it acknowledges.
    """

    queues: Sequence[str]
    lists: Lists
    room: int
    acks: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """
    A message that is held and not yet delivered.

    Attributes:
        queue: Where it was.
        key: The list of that queue.
        taken: As the server gave it.
    """

    queue: str
    key: str
    taken: Taken


class Taking(Base):  # type: ignore[misc]
    """What an atomic channel does differently from kombu's, into which it is mixed."""

    QoS = QoS
    dead_letter_key = "unacked_dead_letter"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._acks: deque[str] = deque()
        self._flushing = RLock()
        self._arrived: deque[Arrived] = deque()
        self._waiters: dict[str, Waiter] = {}
        self._no_ack: set[str] = set()
        self._question: Question | None = None
        self._fresh = True
        self._quiet_until = 0.0
        self._delivering_in: int | None = None
        self._sync_client: Any = None
        self._plain_client: Any = None
        self.noted_tag: str | None = None
        with refusing_old_servers():
            super().__init__(*args, **kwargs)
        self._check()

    # What the poller asks

    @property
    def has_acks(self) -> bool:
        """Whether acknowledgements are to be sent."""
        return bool(self._acks)

    @property
    def has_arrived(self) -> bool:
        """Whether messages are to be delivered."""
        return bool(self._arrived)

    @property
    def has_room(self) -> bool:
        """Whether the prefetch window has room."""
        return self._room() > 0

    @property
    def wants_to_ask(self) -> bool:
        """Whether there is something to ask the server for."""
        if self._quiet_until and monotonic() < self._quiet_until:
            return False
        return self.has_acks or self.has_arrived or (self._fresh and bool(self.active_queues) and self.has_room)

    @property
    def wait_s(self) -> float:
        """How long a wait lasts, such that all together ask as often as one `BRPOP` would."""
        return float((self.brpop_timeout or 1) * max(1, len(self._waiters)))

    def waiters(self) -> Iterable[Waiter]:
        """One for each list, as far as they go."""
        keys = self._lists(self._queues()).keys[:WAITERS_MOST]
        gone = [waiter for key, waiter in self._waiters.items() if key not in keys]
        if gone:
            self.connection.cycle.forget(self, gone)
        self._waiters = {key: self._waiters.get(key) or Waiter(key, self._new_connection()) for key in keys}
        return self._waiters.values()

    def waited(self, waiter: Waiter) -> None:
        """The end of a wait."""
        try:
            found = waiter.finish()
        except self.connection_errors:
            waiter.close()
            raise
        except ResponseError:
            found = True  # whoever takes finds out what is wrong
        beyond = len(self._waiters) < len(self.active_queues) * len(self.priority_steps)
        self._fresh = self._fresh or found or beyond
        raise Empty

    # Asking, and what comes back

    def _brpop_start(self, timeout: float | None = None) -> None:  # noqa: ARG002 - as kombu calls it
        """Ask for messages and acknowledge others, without waiting for the answer."""
        room = self._room() if self._fresh else 0  # before the acks, which made it
        queues = self._queues()
        self._ask(Question(queues=queues, lists=self._lists(queues), room=room, acks=self._collect_acks()))

    def _ask(self, question: Question, *script: str) -> None:
        connection = self.client.connection
        self._question = question
        self._in_poll = connection
        self._brpop_sent_at = monotonic()
        connection.send_command(*(script or ("EVALSHA", SHA)), *self._arguments(question))

    def _arguments(self, question: Question) -> list[Any]:
        return arguments(self._places, question.lists, now=time(), room=question.room, acks=question.acks)

    def _brpop_read(self, **options: Any) -> bool:  # noqa: ARG002 - as kombu calls it
        """Read the answer and deliver what it brought."""
        self._read_answer()
        if self._arrived and not self._in_poll:
            self.deliver()
            return True
        raise Empty

    def _read_answer(self) -> None:
        """Read what the server took for us."""
        question, connection = self._question, self.client.connection
        assert question is not None
        try:
            answer = connection.read_response()
        except NoScriptError:
            self._ask(question, "EVAL", TAKE)
            return
        except self.connection_errors:
            connection.disconnect()  # which puts the acks back
            raise
        except ResponseError:
            self._forget_question()
            self._quiet_until = monotonic() + PAUSE_S
            raise
        self._question, self._in_poll, self._quiet_until = None, None, 0.0
        self._flush_brpop_reauth()
        self._arrive(question, answer)

    def _arrive(self, question: Question, answer: Sequence[Any]) -> None:
        taken, broken = read_answer(answer)
        for one in taken:
            queue = question.queues[one.at % len(question.queues)]
            self._arrived.append(Arrived(queue=queue, key=question.lists.keys[one.at], taken=one))
            self._queue_cycle.rotate(queue)
        for fault in broken:
            _report(fault)
        if question.room:
            # Fewer than there was room for: the lists are empty, and waiting on them is cheaper than asking.
            self._fresh = len(taken) == question.room or bool(broken)

    def _forget_question(self) -> None:
        """The answer will not come: what was acknowledged in it is so again."""
        question, self._question, self._in_poll = self._question, None, None
        if question is not None:
            self._acks.extend(question.acks)

    # Delivering

    def deliver(self) -> None:
        """Hand over what has arrived, for a few milliseconds; the rest once the server has answered again."""
        until = monotonic() + DELIVER_FOR_S
        self._delivering_in = get_ident()
        try:
            while self._arrived and self.connection is not None:
                one = self._arrived.popleft()
                self._deliver_one(one)
                if monotonic() > until or self._has_ended(one):
                    break
        finally:
            self._delivering_in = self.noted_tag = None

    def _has_ended(self, one: Arrived) -> bool:
        """
        Whether a message is done with before it was delivered, since the solo pool runs jobs there.

        Its acknowledgement waits for the event loop, and has to be sent before the next job runs.
        """
        hub = self.connection and self.connection.cycle.hub
        soon = [getattr(item, "fun", None) for item in list(hub._ready)] if hub else []
        tags = (getattr(getattr(function, "__self__", None), "delivery_tag", None) for function in soon)
        return one.taken.tag in tags

    def deliver_rest(self) -> None:
        """The same where the event loop does not guard what it calls, as it does for a socket."""
        try:
            self.deliver()
        except self.connection_errors:
            raise
        except Exception:
            logger.exception("a consumer failed on a message")

    def _deliver_one(self, one: Arrived) -> None:
        if one.queue not in self.connection._callbacks:
            self._give_back(one)  # its consumer was cancelled while it was on its way
            return
        try:
            payload = loads(bytes_to_str(one.taken.raw))
        except UNFIT as error:
            self._set_aside(one.taken.raw, one.key, one.taken.tag, error)
            return
        self.noted_tag = one.taken.tag
        try:
            self.connection._deliver(payload, one.queue)
        except self.connection_errors:
            raise
        except Exception as error:
            if not one.taken.tag or one.taken.tag in self.qos._delivered:
                raise
            # It never became a message, so nobody would acknowledge it.
            self._set_aside(one.taken.raw, one.key, one.taken.tag, error)

    def _give_back(self, one: Arrived) -> None:
        if one.taken.tag:
            self.qos.restore_by_tag(one.taken.tag)
        else:
            self._plain().rpush(one.key, one.taken.raw)

    def set_aside_noted(self, tag: Any, error: Exception) -> None:
        """Set aside what is noted and cannot be put back; its key is not known any more."""
        entry = self._plain().hget(self._places.unacked, tag)
        if entry is None:
            return
        with suppress(*UNFIT):  # else as it was noted: with its exchange and routing key
            entry = dumps(loads(bytes_to_str(entry))[0]).encode()
        self._set_aside(entry, "", tag, error)

    def _set_aside(self, raw: bytes, key: str, tag: Any, error: Exception) -> None:
        fault = Broken(reason=f"{type(error).__name__}: {error}", raw=raw)
        text = raw.decode(errors="surrogateescape")
        entry = dumps({"reason": fault.reason, "at": repr(time()), "key": key, "message": text})
        with self._plain().pipeline() as pipe:
            if tag:
                pipe.zrem(self._places.index, tag)
                pipe.hdel(self._places.unacked, tag)
            pipe.lpush(self._places.dead, entry)
            pipe.execute()
        _report(fault)

    def _do_restore_message(
        self, payload: Any, exchange: Any, routing_key: Any, pipe: Any, leftmost: bool = False
    ) -> None:
        """
        Kombu's, but what goes wrong is raised, which ends the transaction; kombu drops the message and logs it.

        Raises:
            LookupError: If no queue is bound to where the message was sent.
        """
        with suppress(KeyError):
            payload["headers"]["redelivered"] = True
            payload["properties"]["delivery_info"]["redelivered"] = True
        queues = self._lookup(exchange, routing_key)
        if not queues:
            raise LookupError(f"no queue is bound to exchange {exchange!r} with routing key {routing_key!r}")
        text = dumps(payload)
        for queue in queues:
            key = self._q_for_pri(queue, self._get_message_priority(payload, reverse=False))
            (pipe.lpush if leftmost else pipe.rpush)(key, text)

    # Acknowledging

    def acknowledge(self, tag: str) -> None:
        """Acknowledge with the next question; at once where no loop would ask it soon, or it has nothing to ask for."""
        self._acks.append(tag)
        cycle = None if self.connection is None else self.connection.cycle
        # A node that stops cancels its consumers, and jobs end for long after its loop has made its last round.
        lasting = bool(self.active_queues)
        if cycle is None or not cycle.is_turning or not lasting or self._delivering_in == get_ident():
            self.flush()
        elif not self._in_poll:  # else the loop wakes by the answer
            cycle.wake()

    def flush(self) -> None:
        """Send all acknowledgements and wait for the answer."""
        # One at a time takes along what others wait to send: each on its own would need a connection, of which the pool
        # has few.
        with self._flushing:
            acks = self._collect_acks()
            while acks and self.connection is not None:  # a closed channel has put its messages back already
                self._send_acks(acks)
                acks = self._collect_acks()

    def _send_acks(self, acks: list[str]) -> None:
        try:
            with self._create_client().pipeline() as pipe:
                pipe.zrem(self.unacked_index_key, *acks).hdel(self.unacked_key, *acks).execute()
        except Exception:
            self._acks.extend(acks)
            raise

    def _collect_acks(self) -> list[str]:
        acks: list[str] = []
        try:
            while len(acks) < ACKS_MOST:
                acks.append(self._acks.popleft())
        except IndexError:
            pass
        return acks

    # What kombu calls

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        """Consume from a queue."""
        (self._no_ack.add if no_ack else self._no_ack.discard)(queue)
        self._fresh = True
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _basic_cancel(self, consumer_tag: str) -> Any:
        cancelled = super()._basic_cancel(consumer_tag)
        if not self.active_queues and not self._in_poll:
            self.flush()
        return cancelled

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:  # noqa: ARG002 - as kombu calls it
        """Take one message now, or None."""
        noted = self.ack_emulation and not no_ack
        lists = Lists(keys=self._keys([queue]), noted=[noted], turns=False)
        question = Question(queues=[queue], lists=lists, room=1, acks=())
        while True:
            taken, broken = read_answer(self._ask_now(question))
            for fault in broken:
                _report(fault)
            if not broken:
                break
        self._maybe_update_queues_expire(self._create_client(), queue)
        return self._message(taken[0], no_ack=no_ack) if taken else None

    def _message(self, taken: Taken, *, no_ack: bool) -> Any:
        message = self.Message(loads(bytes_to_str(taken.raw)), channel=self)
        if not no_ack:
            self.noted_tag = taken.tag
            self.qos.append(message, message.delivery_tag)
        return message

    def _ask_now(self, question: Question) -> Any:
        try:
            return self._plain().execute_command("EVALSHA", SHA, *self._arguments(question))
        except NoScriptError:
            return self._plain().execute_command("EVAL", TAKE, *self._arguments(question))

    def close(self) -> None:
        """Put back what is not acknowledged, and send what is."""
        if not self.closed:
            self._closing = True
            try:
                if self._in_poll:
                    self._read_answer()
                self.flush()
                self._give_back_all()
            except (*self.connection_errors, ResponseError):
                logger.warning("closed without a last word with the server", exc_info=True)
            self._in_poll = None
        super().close()

    def _give_back_all(self) -> None:
        # From the last one, so that they stand in their old order.
        while self._arrived:
            self._give_back(self._arrived.pop())

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Keep one client; a new one for each operation, as kombu has it, costs more than the operation."""
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._sync_client is None or self._sync_client.connection_pool is not self.pool:
            self._sync_client = super()._create_client()
        return self._sync_client

    def _on_connection_disconnect(self, connection: Any) -> None:
        if self._in_poll is connection:
            self._forget_question()
        for waiter in self._waiters.values():
            if waiter.connection is connection:
                waiter.sent_at = None
        super()._on_connection_disconnect(connection)

    # Names and places

    def _room(self) -> int:
        qos = self.qos
        if not qos.can_consume():
            return 0
        most = self._batch_most()
        if qos.prefetch_count:
            most = min(most, int(qos.prefetch_count) - len(qos._delivered) + len(qos._dirty))
        return max(0, most - len(self._arrived))

    def _batch_most(self) -> int:
        # Celery puts a `can_consume` of its own in front with --disable-prefetch, which says no more than that there is
        # room for the next message.
        return 1 if "can_consume" in vars(self.qos) else BATCH_MOST

    def _queues(self) -> list[str]:
        return list(self._queue_cycle.consume(len(self.active_queues)))

    def _keys(self, queues: Sequence[str]) -> list[str]:
        prefix = self.global_keyprefix
        return [prefix + self._q_for_pri(queue, step) for step in self.priority_steps for queue in queues]

    def _lists(self, queues: Sequence[str]) -> Lists:
        return Lists(
            keys=self._keys(queues),
            noted=[self.ack_emulation and queue not in self._no_ack for queue in queues],
            turns=not isinstance(self._queue_cycle, priority_cycle),
        )

    @property
    def _places(self) -> Places:
        prefix = self.global_keyprefix
        return Places(
            unacked=prefix + self.unacked_key,
            index=prefix + self.unacked_index_key,
            dead=prefix + self.dead_letter_key,
        )

    def _plain(self) -> Any:
        """A client that takes keys as they are, prefix included."""
        if self._plain_client is None or self._plain_client.connection_pool is not self.pool:
            self._plain_client = redis.Redis(connection_pool=self.pool)
        return self._plain_client

    def _new_connection(self) -> Any:
        """Not from the pool, whose number of connections is limited and not meant for waiting."""
        pool = self.async_pool
        return pool.connection_class(**pool.connection_kwargs)

    def _check(self) -> None:
        try:
            check_server(self._plain().info("server"))
        except NoPermissionError:
            logger.debug("may not ask the server for its version")
        except UnfitServerError:
            self._disconnect_pools()
            raise


def _report(fault: Broken) -> None:
    logger.error("message set aside: %s: %.500r", fault.reason, fault.raw)
