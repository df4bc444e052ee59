"""A channel that takes messages in batches, in one step with noting them, and acknowledges them in batches."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from queue import Empty
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import redis
from kombu.log import get_logger
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from kombu.utils.scheduling import priority_cycle
from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from poolrace.transport.ack_buffer import AckBuffer
from poolrace.transport.dead_letters import DeadLetters, report
from poolrace.transport.delivery import Delivery
from poolrace.transport.list_waiter import ListWaiter
from poolrace.transport.qos import QoS
from poolrace.transport.script import SHA, TAKE, ServerKeys, TakeRequest, arguments, read_answer
from poolrace.transport.servers import UnfitServerError, check_server, refusing_old_servers

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from poolrace.transport.script import PendingMessage

logger = get_logger(__name__)

Base: Any = object  # in truth the class that this is mixed into

MAX_BATCH = 200
"""The most messages of one step: the server does nothing else meanwhile."""

MAX_WAITERS = 16
"""The most connections that wait on a list each; lists beyond that are looked at whenever a wait ends."""

RETRY_S = 1.0
"""The pause between tries while the server answers with errors."""


class AtomicChannel(Base):  # type: ignore[misc]
    """
    The part of an atomic channel that differs from kombu's, into which it is mixed.

    Attributes:
        acks: The acknowledgements that are not sent yet.
        delivery: The messages that are taken and not delivered yet.
        dead_letters: The list of messages that could not be read.
        waiters: The connections that wait for a message, by the key of their list.
    """

    QoS = QoS
    dead_letter_key = "unacked_dead_letter"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.acks = AckBuffer(self._send_acks)
        self.dead_letters = DeadLetters(self.raw_client, lambda: self._server_keys)
        self.delivery = Delivery(self, self.dead_letters)
        self.waiters: dict[str, ListWaiter] = {}
        self._no_ack: set[str] = set()
        self._request: TakeRequest | None = None
        self._may_have_messages = True
        self._retry_after_s = 0.0
        self._sync_client: Any = None
        self._raw_client: Any = None
        with refusing_old_servers():
            super().__init__(*args, **kwargs)
        self._check_server()

    # Questions of the poller

    @property
    def has_room(self) -> bool:
        """True if the prefetch window has room."""
        return self._room() > 0

    @property
    def wants_to_ask(self) -> bool:
        """True if there is anything to ask the server for."""
        if self._retry_after_s and monotonic() < self._retry_after_s:
            return False
        if self.acks or self.delivery:
            return True
        return self._may_have_messages and bool(self.active_queues) and self.has_room

    @property
    def wait_s(self) -> float:
        """The length of a wait, such that all waits together ask as often as one `BRPOP` would."""
        return float((self.brpop_timeout or 1) * max(1, len(self.waiters)))

    def renew_waiters(self) -> Iterable[ListWaiter]:
        """Keep a waiter for each list that is consumed from, as far as they go, and return them."""
        keys = self._list_keys(self._queues())[:MAX_WAITERS]
        unneeded = [waiter for key, waiter in self.waiters.items() if key not in keys]
        if unneeded:
            self.connection.cycle.forget(self, unneeded)
        self.waiters = {key: self.waiters.get(key) or ListWaiter(key, self._new_connection()) for key in keys}
        return self.waiters.values()

    def on_wait_end(self, waiter: ListWaiter) -> None:
        """Read the end of a wait, and note whether there may be messages to take."""
        try:
            found = waiter.finish()
        except self.connection_errors:
            waiter.close()
            raise
        except ResponseError:
            found = True  # the next request finds out what is wrong
        beyond = len(self.waiters) < len(self.active_queues) * len(self.priority_steps)
        self._may_have_messages = self._may_have_messages or found or beyond
        raise Empty

    # Taking messages

    def _brpop_start(self, timeout: float | None = None) -> None:  # noqa: ARG002 - as kombu calls it
        """Ask for messages and acknowledge others, without waiting for the answer."""
        room = self._room() if self._may_have_messages else 0  # before the acks, which made it
        queues = self._queues()
        self._send(self._take_request(queues, no_ack=self._no_ack, room=room, acks=self.acks.take()))

    def _take_request(
        self, queues: Sequence[str], *, no_ack: Container[str], room: int, acks: Sequence[str] = ()
    ) -> TakeRequest:
        return TakeRequest(
            queues=queues,
            lists=self._list_keys(queues),
            noted=[self.ack_emulation and queue not in no_ack for queue in queues],
            in_turns=not isinstance(self._queue_cycle, priority_cycle),
            room=room,
            acks=acks,
        )

    def _send(self, request: TakeRequest, *script: str) -> None:
        connection = self.client.connection
        self._request = request
        self._in_poll = connection
        self._brpop_sent_at = monotonic()
        connection.send_command(*(script or ("EVALSHA", SHA)), *self._arguments(request))

    def _arguments(self, request: TakeRequest) -> list[Any]:
        return arguments(self._server_keys, request, now=time())

    def _brpop_read(self, **options: Any) -> bool:  # noqa: ARG002 - as kombu calls it
        """Read the answer and deliver the messages that it brought."""
        self._read_answer()
        if self.delivery and not self._in_poll:
            self.delivery.deliver()
            return True
        raise Empty

    def _read_answer(self) -> None:
        request, connection = self._request, self.client.connection
        assert request is not None
        try:
            answer = connection.read_response()
        except NoScriptError:
            self._send(request, "EVAL", TAKE)
            return
        except self.connection_errors:
            connection.disconnect()  # which puts the acks back
            raise
        except ResponseError:
            self._abandon_request()
            self._retry_after_s = monotonic() + RETRY_S
            raise
        self._request, self._in_poll, self._retry_after_s = None, None, 0.0
        self._flush_brpop_reauth()
        self._accept(request, answer)

    def _accept(self, request: TakeRequest, answer: Sequence[Any]) -> None:
        taken, broken = read_answer(request, answer)
        for message in taken:
            self.delivery.add(message)
            self._queue_cycle.rotate(message.queue)
        for fault in broken:
            report(fault)
        if request.room:
            # Fewer than there was room for: the lists are empty, and waiting on them is cheaper than asking.
            self._may_have_messages = len(taken) == request.room or bool(broken)

    def _abandon_request(self) -> None:
        """Give up on an answer that will not come; its acknowledgements go with the next request."""
        request, self._request, self._in_poll = self._request, None, None
        if request is not None:
            self.acks.put_back(request.acks)

    # Acknowledging

    def acknowledge(self, tag: str) -> None:
        """Acknowledge with the next request, or at once where no loop would send a request soon."""
        self.acks.add(tag)
        cycle = None if self.connection is None else self.connection.cycle
        # A node that stops cancels its consumers, and jobs end for long after its loop has made its last round.
        lasting = bool(self.active_queues)
        if cycle is None or not cycle.is_running or not lasting or self.delivery.is_in_this_thread:
            self.acks.flush()
        elif not self._in_poll:  # else the loop wakes by the answer
            cycle.wake()

    def _send_acks(self, tags: list[str]) -> None:
        if self.connection is None:  # a closed channel has put its messages back already
            return
        with self._create_client().pipeline() as pipe:
            pipe.zrem(self.unacked_index_key, *tags).hdel(self.unacked_key, *tags).execute()

    # Overrides of kombu's own

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        """Consume from a queue."""
        (self._no_ack.add if no_ack else self._no_ack.discard)(queue)
        self._may_have_messages = True
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _basic_cancel(self, consumer_tag: str) -> Any:
        cancelled = super()._basic_cancel(consumer_tag)
        if not self.active_queues and not self._in_poll:
            self.acks.flush()
        return cancelled

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:  # noqa: ARG002 - as kombu calls it
        """Take one message now, or return None."""
        request = self._take_request([queue], no_ack={queue} if no_ack else (), room=1)
        while True:
            taken, broken = read_answer(request, self._execute(request))
            for fault in broken:
                report(fault)
            if not broken:
                break
        self._maybe_update_queues_expire(self._create_client(), queue)
        return self._message(taken[0], no_ack=no_ack) if taken else None

    def _message(self, taken: PendingMessage, *, no_ack: bool) -> Any:
        message = self.Message(loads(bytes_to_str(taken.raw)), channel=self)
        if not no_ack:
            self.qos.noted_tag = taken.tag
            self.qos.append(message, message.delivery_tag)
        return message

    def _execute(self, request: TakeRequest) -> Any:
        """Send a request and wait for its answer."""
        try:
            return self.raw_client().execute_command("EVALSHA", SHA, *self._arguments(request))
        except NoScriptError:
            return self.raw_client().execute_command("EVAL", TAKE, *self._arguments(request))

    def _do_restore_message(
        self, payload: Any, exchange: Any, routing_key: Any, pipe: Any, leftmost: bool = False
    ) -> None:
        """
        Put a message back as kombu does, but raise what goes wrong; kombu drops the message and logs it.

        What is raised ends the transaction.

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

    def close(self) -> None:
        """Put back the messages that are not acknowledged, and acknowledge the others."""
        if not self.closed:
            self._closing = True
            try:
                if self._in_poll:
                    self._read_answer()
                self.acks.flush()
                self.delivery.requeue_all()
            except (*self.connection_errors, ResponseError):
                logger.warning("closed without a last word with the server", exc_info=True)
            self._in_poll = None
        super().close()

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Return one client for all operations: a new one for each, as in kombu, costs more than the operation."""
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._sync_client is None or self._sync_client.connection_pool is not self.pool:
            self._sync_client = super()._create_client()
        return self._sync_client

    def _on_connection_disconnect(self, connection: Any) -> None:
        if self._in_poll is connection:
            self._abandon_request()
        for waiter in self.waiters.values():
            if waiter.connection is connection:
                waiter.sent_at = None
        super()._on_connection_disconnect(connection)

    # The prefetch window, names of keys, and connections

    def _room(self) -> int:
        qos = self.qos
        if not qos.can_consume():
            return 0
        most = self._max_batch()
        if qos.prefetch_count:
            most = min(most, int(qos.prefetch_count) - len(qos._delivered) + len(qos._dirty))
        return max(0, most - len(self.delivery))

    def _max_batch(self) -> int:
        # Celery puts a `can_consume` of its own in front with --disable-prefetch, which says no more than that there is
        # room for the next message.
        return 1 if "can_consume" in vars(self.qos) else MAX_BATCH

    def _queues(self) -> list[str]:
        return list(self._queue_cycle.consume(len(self.active_queues)))

    def _list_keys(self, queues: Sequence[str]) -> list[str]:
        prefix = self.global_keyprefix
        return [prefix + self._q_for_pri(queue, step) for step in self.priority_steps for queue in queues]

    @cached_property
    def _server_keys(self) -> ServerKeys:
        prefix = self.global_keyprefix
        return ServerKeys(
            unacked=prefix + self.unacked_key,
            index=prefix + self.unacked_index_key,
            dead=prefix + self.dead_letter_key,
        )

    def raw_client(self) -> Any:
        """Return a client that takes keys as they are, prefix included."""
        if self._raw_client is None or self._raw_client.connection_pool is not self.pool:
            self._raw_client = redis.Redis(connection_pool=self.pool)
        return self._raw_client

    def _new_connection(self) -> Any:
        """Make a connection outside the pool, whose connections are few and not meant for waiting."""
        pool = self.async_pool
        return pool.connection_class(**pool.connection_kwargs)

    def _check_server(self) -> None:
        try:
            check_server(self.raw_client().info("server"))
        except NoPermissionError:
            logger.debug("may not ask the server for its version")
        except UnfitServerError:
            self._disconnect_pools()
            raise
