"""A channel that takes messages in batches, in one step with noting them, and acknowledges them in batches."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cached_property
from queue import Empty
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import redis
from kombu.log import get_logger
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from kombu.utils.scheduling import priority_cycle
from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from poolrace.transport.ack_buffer import AckBuffer
from poolrace.transport.dead_letters import REQUEUED, DeadLetters, GivenBackTooOftenError, report
from poolrace.transport.delivery import Delivery
from poolrace.transport.lookout import PUSHED, Lookout
from poolrace.transport.qos import QoS
from poolrace.transport.renewal import Renewal, check_timeout, copied, renew
from poolrace.transport.restoring import Restoring
from poolrace.transport.script import LEASE_S, LEAVE, SHA, TAKE, ServerKeys, TakeRequest, arguments, read_answer
from poolrace.transport.servers import UnfitServerError, check_server, refusing_old_servers
from poolrace.transport_setting import DEAD_LETTER_KEY

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from poolrace.transport.script import PendingMessage

logger = get_logger(__name__)

Base: Any = object  # in truth the class that this is mixed into

LOGS_IN_FIRST = (6,)
"""Older clients that speak RESP3 check the health of a connection before they log in, which the server refuses."""

MAX_BATCH = 200
"""The most messages of one step: the server does nothing else meanwhile."""

RETRY_S = 1.0
"""The pause between tries while the server answers with errors."""

CHECK_S = 2.0
"""How long a consumer that found nothing waits before it looks at its lists again, whatever it has heard."""

POLL_S = 0.05
"""The same for one that looks out on a queue on a server which cannot tell of changes."""

REST_S = 15.0
"""How long it waits before it takes a step although the lists were empty, so that it still counts as one that waits."""

SHARED_S = 0.2
"""The same where it has left messages to others."""

EARLY_S = 30.0
"""A message that is due later is given to nobody yet, and takes no room in a node."""

RESTORED_EVERY_S = 10.0
"""How often kombu looks for messages to put back, where it is no option."""

LEAD = 1.5
"""A message that is due is put back so many of these times before."""

EARLY = 0.9
"""The part of a time after which it is up: the loop's own timer must not come just before it."""


class AtomicChannel(Base):  # type: ignore[misc]
    """
    The part of an atomic channel that differs from kombu's, into which it is mixed.

    Attributes:
        acks: The acknowledgements that are not sent yet.
        delivery: The messages that are taken and not delivered yet.
        dead_letters: The list of messages that were set aside.
        restoring: Puts back what others held when they died.
        lookout: Hears of changes of the lists that this consumer looks out on.
        name: The name by which other consumers of its queues count it.
    """

    QoS = QoS
    dead_letter_key = DEAD_LETTER_KEY
    delivery_limit = 20
    requeue_limit = 100
    defer_eta = True
    unacked_restore_throttle = 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.acks = AckBuffer(self._send_acks)
        self.dead_letters = DeadLetters(self.raw_client, lambda: self.server_keys)
        self.delivery = Delivery(self, self.dead_letters)
        self.restoring = Restoring(self, self.dead_letters)
        self.lookout = Lookout(self._on_change)
        self.name = uuid4().hex
        # On the asking connection: `take`, a step; `ack`, acknowledgements alone; `look`, a last look at lists, which
        # the server then remembers; `wait`, for a token, which costs nothing if it is lost; `claim`, a look in the
        # place of one who looks out no more; `check`, a look without any consequence.
        self._under_way = ""
        self._answers: list[Any] = []
        self._answers_due = 0
        self._looks_out: list[str] = []
        self._watched: set[str] = set()  # of these, those whose lists the server remembers
        self._to_claim = ""  # the queue of a token
        self._has_left_some = False
        self._is_counted = False
        self._is_untold = False
        self._rests_until_s = self._check_at_s = self._asked_s = 0.0
        self._cannot_track = False
        self._clock_offset_s = 0.0
        self._no_ack: set[str] = set()
        self._request: TakeRequest | None = None
        self._may_have_messages = True
        self._retry_after_s = 0.0
        self._sync_client: Any = None
        self._raw_client: Any = None
        with refusing_old_servers():
            super().__init__(*args, **kwargs)
        check_timeout(self.visibility_timeout)
        self.renewal = Renewal(self)
        self._check_server()

    # Questions of the poller

    @property
    def has_room(self) -> bool:
        """True if the prefetch window has room."""
        return self._room() > 0

    @property
    def wants_to_ask(self) -> bool:
        """True if there is anything to ask the server for."""
        if self.is_pausing:
            return False
        if self.acks or self.delivery:
            return True
        return self._may_take and bool(self.active_queues) and self.has_room

    @property
    def is_pausing(self) -> bool:
        """True if the server answered with an error just now, so that it is left alone for a moment."""
        return bool(self._retry_after_s) and monotonic() < self._retry_after_s

    @property
    def _may_take(self) -> bool:
        """True if there may be messages to take: nobody knows better, or it is time to ask."""
        return self._may_have_messages or monotonic() >= self._rests_until_s

    @property
    def is_waiting(self) -> bool:
        """True if the asking connection waits for a token, so that nothing else can be asked there."""
        return self._under_way == "wait"

    def _on_change(self) -> None:
        """Note that a list has changed, so that there may be messages to take."""
        self._watched.clear()  # the server tells of a list once
        self._may_have_messages = True
        if self.is_waiting:
            with suppress(*self.connection_errors):
                self.raw_client().client_unblock(self.lookout.asking_id)

    def wait(self) -> None:
        """Look once more at the lists that this consumer looks out on, or wait for a token of the others."""
        if self._to_claim:
            self._claim(self._to_claim)
            return
        if not self._is_watching:
            self._watched = set(self._looks_out)
            self._begin("look", *self.lookout.look(self.client.connection, self._list_keys(self._looks_out)))
            return
        if self._has_left_some:  # to others, whose tokens are not for this one
            self._begin("wait", ("BLPOP", f"{self.global_keyprefix}_kombu.pause.{self.name}", self._pause()))
            return
        if self._may_check:
            # What it should have been told of by the server, and what by others.
            queues = self._queues()
            groups = [[each for each in queues if (each in self._looks_out) is mine] for mine in (True, False)]
            self._begin("check", *(("EXISTS", *self._list_keys(group)) for group in groups if group))
            return
        queues = [queue for queue in self._queues() if self._cannot_track or queue not in self._looks_out]
        if queues:
            self._begin("wait", ("BLPOP", *(self._wait_keys(queue)[2] for queue in queues), self._pause()))

    def _claim(self, queue: str) -> None:
        """Look out on a queue if nobody does, and look at its lists."""
        self._watched.add(queue)
        claim = ("SET", self._wait_keys(queue)[0], self.name, "EX", round(LEASE_S), "NX")
        lists = self._list_keys([queue])
        look = [("EXISTS", *lists)] if self._cannot_track else self.lookout.look(self.client.connection, lists)
        self._begin("claim", claim, *look)

    @property
    def wants_to_wait(self) -> bool:
        """True if there is something to look at, or to wait for, on the asking connection."""
        return (
            bool(self._to_claim)
            or not self._is_watching
            or self._may_check
            or len(self._looks_out) < len(self.active_queues)
        )

    @property
    def _is_watching(self) -> bool:
        """True if the server tells of changes of every list that this consumer looks out on."""
        if not self._looks_out:
            return True
        is_told = self.lookout.is_told_by(self.client.connection)
        return self._cannot_track or (is_told and self._watched.issuperset(self._looks_out))

    @property
    def _may_check(self) -> bool:
        return monotonic() >= self._check_at_s

    def _pause(self) -> str:
        """Return how long to wait, in seconds as the server reads them."""
        return f"{max(0.01, min(self._rests_until_s, self._check_at_s) - monotonic()):.3f}"

    def _begin(self, what: str, *commands: Sequence[Any]) -> None:
        connection = self.client.connection
        self._under_way, self._in_poll = what, connection
        self._answers, self._answers_due = [], len(commands)
        self._brpop_sent_at = self._asked_s = monotonic()
        connection.send_packed_command(connection.pack_commands(commands))
        if self._in_poll is not connection:  # it was cut and made again meanwhile, where nobody reads the answer
            connection.disconnect()
            raise redis.ConnectionError("the connection was made again while something was asked")

    # Taking messages

    def _brpop_start(self, timeout: float | None = None) -> None:  # noqa: ARG002 - as kombu calls it
        """Ask for messages and acknowledge others, without waiting for the answer."""
        room = self._room() if self._may_take else 0  # before the acks, which made it
        queues = self._queues()
        self._send(self._take_request(queues, no_ack=self._no_ack, room=room, acks=self.acks.take()))

    def _take_request(
        self, queues: Sequence[str], *, no_ack: Container[str], room: int, acks: Sequence[str] = ()
    ) -> TakeRequest:
        lead_s = LEAD * self.restored_every_s
        return TakeRequest(
            queues=queues,
            lists=self._list_keys(queues),
            noted=[self.ack_emulation and queue not in no_ack for queue in queues],
            in_turns=not isinstance(self._queue_cycle, priority_cycle),
            room=room,
            acks=acks,
            waits=[key for queue in queues for key in self._wait_keys(queue)],
            counted=self._is_counted,
            deserted=self._has_left_some,
            untold=self._is_untold,
            early_s=max(EARLY_S, lead_s) if self.defer_eta else 0.0,  # what is put back is given to somebody
            back_s=self.visibility_timeout + lead_s,
            # What was left to others once, and is still there, is not left again.
            held=0 if self._has_left_some else len(self.qos._delivered) - len(self.qos._dirty) + len(self.delivery),
        )

    def _send(self, request: TakeRequest, *script: str) -> None:
        self._request = request
        if request.room:
            self._begin("take", (*(script or ("EVALSHA", SHA)), *self._arguments(request, self.name)))
        elif request.acks:
            keys = self.server_keys
            self._begin("ack", ("ZREM", keys.index, *request.acks), ("HDEL", keys.unacked, *request.acks))
        else:
            self._begin("ack", ("PING",))  # whose answer has the loop deliver what is left

    def _arguments(self, request: TakeRequest, name: str = "") -> list[Any]:
        return arguments(self.server_keys, request, now=self.server_time(), name=name)

    def _brpop_read(self, **options: Any) -> bool:  # noqa: ARG002 - as kombu calls it
        """Read what has come, and deliver the messages that it brought."""
        self._read()
        while self._has_more():
            self._read()
        if self.delivery and not self._in_poll:
            self.delivery.deliver()
            return True
        raise Empty

    def _has_more(self) -> bool:
        """Check whether there is more to read; the poll does not know what the client holds already."""
        try:
            return self.client.connection._sock is not None and self.client.connection.can_read()
        except self.connection_errors:
            return True  # to read it is to find out

    def _read(self) -> None:
        """Read one answer, or what the server tells."""
        connection, was_asked = self.client.connection, self._in_poll
        try:
            answer = self.lookout.read(connection)
        except ResponseError as error:
            answer = error
        except self.connection_errors:
            self.connection.cycle.hang_up(connection)  # which puts the acks back
            if was_asked:
                raise
            return  # the server hangs up
        if answer is not PUSHED:
            self._answers.append(answer)
            if self._in_poll and len(self._answers) == self._answers_due:
                self._settle(self._answers)

    def _settle(self, answers: Sequence[Any]) -> None:
        """Act on the answers to what was asked."""
        error = next((answer for answer in answers if isinstance(answer, ResponseError)), None)
        if isinstance(error, NoScriptError):
            assert self._request is not None
            self._send(self._request, "EVAL", TAKE)
            return
        under_way, request = self._under_way, self._request
        if error is not None:
            self._abandon_request()
            if under_way == "look" or (under_way == "claim" and error is not answers[0]):
                self._note_silence(error)
                return
            self._retry_after_s = monotonic() + RETRY_S
            raise error
        self._request, self._in_poll, self._under_way, self._retry_after_s = None, None, "", 0.0
        if hasattr(self, "_flush_brpop_reauth"):  # kombu 5.7
            self._flush_brpop_reauth()
        if under_way == "take":
            assert request is not None
            self._accept(request, answers[0])
        elif under_way == "wait":
            self._note_wait(answers[0])
        elif under_way == "claim":
            self._note_claim(answers)
        elif under_way == "look":
            self._note_look(answers)
        elif under_way == "check":
            self._note_check(answers)

    def _note_silence(self, error: ResponseError) -> None:
        """Note that the server did not agree to tell of changes."""
        self._cannot_track = isinstance(error, NoPermissionError) or "unknown" in str(error).lower()
        if self._cannot_track:
            logger.warning("the server tells of no changes (%s): its lists are looked at every %g s", error, POLL_S)
            self._check_at_s = 0.0
        else:  # it may do so in a moment
            logger.warning("the server did not say whether it tells of changes: %s", error)
            self._retry_after_s = monotonic() + RETRY_S

    def _note_wait(self, token: Any) -> None:
        if token is not None:
            keys = {self._wait_keys(queue)[2]: queue for queue in self.active_queues}
            self._to_claim = keys.get(bytes_to_str(token[0]), "")
        elif self._has_left_some:  # those that were to come have come, or not
            self._may_have_messages = True

    def _note_claim(self, answers: Sequence[Any]) -> None:
        queue, self._to_claim = self._to_claim, ""
        if answers[0] is not None and queue in self.active_queues:
            self._looks_out.append(queue)
        self._note_look(answers[1:])

    def _note_look(self, answers: Sequence[Any]) -> None:
        """Note whether a list has filled since it was found empty."""
        found = answers[-1] if self._cannot_track else self.lookout.accept(self.client.connection, answers)
        self._may_have_messages = self._may_have_messages or found > 0

    def _note_check(self, answers: Sequence[int]) -> None:
        self._check_at_s = self._asked_s + self._check_after_s
        if sum(answers):
            self._may_have_messages = self._is_untold = True
            self._watched.clear()

    def _accept(self, request: TakeRequest, raw: Sequence[Any]) -> None:
        answer = read_answer(request, raw)
        for message in answer.taken:
            self.delivery.add(message)
            self._queue_cycle.rotate(message.queue)
        if answer.taken:
            self.renewal.start()
        for fault in answer.broken:
            report(fault)
        if answer.error:
            logger.error("messages could not be taken: %s", answer.error)
        if answer.stuck or answer.error:
            self._retry_after_s = monotonic() + RETRY_S
        shared = answer.shared and not answer.taken
        others = set(self.active_queues) - set(request.queues)  # which have been added meanwhile
        self._may_have_messages = bool(others) or (answer.looks_out is None and not shared)
        self._has_left_some = shared
        # A step that an error ended has not stepped back.
        self._is_counted = answer.looks_out is not None or (request.counted and bool(answer.error))
        self._rests_until_s = self._asked_s + (SHARED_S if shared else EARLY * REST_S)
        self._looks_out = answer.looks_out or []
        self._check_at_s = self._asked_s + self._check_after_s
        self._is_untold = False
        if answer.taken or answer.broken:
            self._watched.clear()  # the server has forgotten what is watched, for it has changed

    @property
    def _check_after_s(self) -> float:
        return POLL_S if self._cannot_track and self._looks_out else EARLY * CHECK_S

    def _abandon_request(self) -> None:
        """Give up on an answer that will not come; its acknowledgements go with the next request."""
        request, self._request, self._in_poll, self._under_way = self._request, None, None, ""
        if request is not None:
            self.acks.put_back(request.acks)

    # Renewing

    def renew(self) -> None:
        """Renew what this channel holds, if its process still works on it. Called by a thread of its own."""
        if self.closed or self.connection is None or self._is_stuck():
            return
        self._ask_time()
        tags = [*self.delivery.tags(), *copied(self.qos._delivered)]
        if tags:
            renew(self.raw_client(), self.server_keys.index, tags, now=self.server_time())

    def _is_stuck(self) -> bool:
        """Return whether the event loop goes round no more, although no job runs in it and nobody ends it."""
        is_ended = not self.active_queues  # jobs of a node that stops may go on for long
        if is_ended or self.delivery.is_under_way or not self.connection.cycle.is_late(self.visibility_timeout):
            return False
        logger.warning("the event loop stands still: what this node holds goes to others after the visibility timeout")
        return True

    @property
    def restored_every_s(self) -> float:
        """How often it looks for messages to put back."""
        return float(getattr(self, "unacked_restore_interval", RESTORED_EVERY_S)) * self.unacked_restore_throttle

    # Acknowledging

    def acknowledge(self, tag: str) -> None:
        """Acknowledge with the next request, or at once where no loop would send a request soon."""
        self.acks.add(tag)
        cycle = None if self.connection is None else self.connection.cycle
        # A node that stops cancels its consumers, and jobs end for long after its loop has made its last round.
        lasting = bool(self.active_queues)
        if cycle is None or not cycle.is_running or not lasting or self.delivery.is_in_this_thread:
            self.acks.flush()
        elif not self._in_poll or self.is_waiting:  # else the loop wakes by the answer
            cycle.wake()

    def _send_acks(self, tags: list[str]) -> None:
        if self.connection is None:  # a closed channel has put its messages back already
            return
        # No transaction: a server that is full refuses to queue even what makes room.
        with self._create_client().pipeline(transaction=False) as pipe:
            pipe.zrem(self.unacked_index_key, *tags).hdel(self.unacked_key, *tags).execute()

    # Overrides of kombu's own

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        """Consume from a queue."""
        (self._no_ack.add if no_ack else self._no_ack.discard)(queue)
        self._may_have_messages = True
        if not self._consumers:
            logger.info("messages are taken by poolrace.transport, in one step with noting them")
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _basic_cancel(self, consumer_tag: str) -> Any:
        queue = self._tag_to_queue.get(consumer_tag)
        cancelled = super()._basic_cancel(consumer_tag)
        if queue is not None:
            self._no_ack.discard(queue)
            self._looks_out = [each for each in self._looks_out if each != queue]
        if queue is not None and not self._closing:
            self.delivery.requeue(queue)
            with suppress(*self.connection_errors):  # it would be forgotten by itself
                self._leave(queue)
        if not self.active_queues and not self._in_poll:
            self.acks.flush()
        return cancelled

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:  # noqa: ARG002 - as kombu calls it
        """Take one message now, or return None."""
        request = self._take_request([queue], no_ack={queue} if no_ack else (), room=1)
        while True:
            answer = read_answer(request, self._execute(request))
            for fault in answer.broken:
                report(fault)
            if answer.taken or not answer.broken or answer.stuck:
                break
        if hasattr(self, "_maybe_update_queues_expire"):  # kombu 5.7
            self._maybe_update_queues_expire(self._create_client(), queue)
        return self._message(answer.taken[0], no_ack=no_ack) if answer.taken else None

    def _message(self, taken: PendingMessage, *, no_ack: bool) -> Any:
        message = self.Message(loads(bytes_to_str(taken.raw)), channel=self)
        if not no_ack:
            self.qos.noted_tag = taken.tag
            self.qos.append(message, message.delivery_tag)
            self.renewal.start()
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
            LookupError: If no queue is bound to where the message was sent, or it was given back too often.
        """
        times = _given_back(payload) if self.qos.is_requeueing else 0
        lists, text = self.back_again(payload, exchange, routing_key, redelivered=True)
        if 0 < self.requeue_limit < times:
            raise GivenBackTooOftenError(times, self.global_keyprefix + lists[0])
        for key in lists:
            (pipe.lpush if leftmost else pipe.rpush)(key, text)

    def back_again(self, payload: Any, exchange: Any, routing_key: Any, *, redelivered: bool) -> tuple[list[str], str]:
        """
        Return the lists that a message goes back to, and how it is written there.

        Raises:
            LookupError: If no queue is bound to where it was sent.
        """
        if redelivered:
            with suppress(KeyError):
                payload["headers"]["redelivered"] = True
                payload["properties"]["delivery_info"]["redelivered"] = True
        queues = self._lookup(exchange, routing_key) or self._bound_by_pattern(exchange, routing_key)
        if not queues:
            raise LookupError(f"no queue is bound to exchange {exchange!r} with routing key {routing_key!r}")
        priority = self._get_message_priority(payload, reverse=False)
        return [self._q_for_pri(queue, priority) for queue in queues], dumps(payload)

    def _bound_by_pattern(self, exchange: Any, routing_key: Any) -> list[str]:
        """Return the queues of a topic exchange that this node has not declared, by its bindings on the server."""
        with suppress(LookupError):
            rows = self.get_table(exchange)
            return [queue for _, pattern, queue in rows if pattern and re.match(pattern, routing_key or "")]
        return []

    def close(self) -> None:
        """Put back the messages that are not acknowledged, and acknowledge the others."""
        if not self.closed:
            self._closing = True
            try:
                while self._in_poll and not self.is_waiting:
                    self._read()
                self.acks.flush()
                self.delivery.requeue_all()
                for queue in self.active_queues:
                    self._leave(queue)
            except (*self.connection_errors, ResponseError):
                logger.warning("closed without a last word with the server", exc_info=True)
            self._in_poll, self._under_way = None, ""
            self.renewal.end()
        super().close()

    def _leave(self, queue: str) -> None:
        """Count no more as one that waits for a queue, and have another one look out on it."""
        keys = self._wait_keys(queue)
        self.raw_client().eval(LEAVE, len(keys), *keys, self.name, round(LEASE_S))

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
        self._may_have_messages = True  # whatever this connection would have told
        super()._on_connection_disconnect(connection)

    # The prefetch window, names of keys, and connections

    def _room(self) -> int:
        qos = self.qos
        if not qos.can_consume():
            return 0
        # What is not handed over at once would be lost with this process, or be held back from others.
        if self._no_ack or not (qos.prefetch_count or self.connection.cycle.hub):
            return 1 - min(1, len(self.delivery))
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

    def _wait_keys(self, queue: str) -> tuple[str, str, str]:
        """Return the keys of a queue's lookout, of the consumers that wait for it, and of its wake list."""
        prefix = self.global_keyprefix
        return (
            f"{prefix}_kombu.lookout.{queue}",
            f"{prefix}_kombu.idle.{queue}",
            f"{prefix}_kombu.wake.{queue}",
        )

    @cached_property
    def server_keys(self) -> ServerKeys:
        """The names of the keys on the server that belong to no queue, prefix included."""
        prefix = self.global_keyprefix
        return ServerKeys(
            unacked=prefix + self.unacked_key,
            index=prefix + self.unacked_index_key,
            dead=prefix + self.dead_letter_key,
            deferred=f"{prefix}{self.unacked_key}_deferred",
            restorer=f"{prefix}{self.unacked_key}_restorer",
        )

    def raw_client(self) -> Any:
        """Return a client that takes keys as they are, prefix included."""
        if self._raw_client is None or self._raw_client.connection_pool is not self.pool:
            self._raw_client = redis.Redis(connection_pool=self.pool)
        return self._raw_client

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """
        Return what makes a connection; the one that asks has to hear what answers nothing.

        Each has a timeout even where none is set: one that is open and says nothing any more, as behind a firewall that
        forgot it, would hold up the event loop that waits for an answer on it. No question takes as long.
        """
        params: dict[str, Any] = super()._connparams(asynchronous=asynchronous)
        params["socket_timeout"] = params["socket_timeout"] or self.health_check_interval or None
        if not asynchronous:
            return params
        if redis.VERSION < LOGS_IN_FIRST:
            params["health_check_interval"] = 0
        return {**params, "protocol": 3}

    def server_time(self) -> float:
        """Return seconds since 1970 by the server's clock: nodes whose clocks differ compare their notes."""
        return time() + self._clock_offset_s

    def _ask_time(self) -> None:
        before = time()
        seconds, microseconds = self.raw_client().time()
        self._clock_offset_s = seconds + microseconds / 1e6 - (before + time()) / 2

    def _check_server(self) -> None:
        try:
            self._ask_time()
            check_server(self.raw_client().info("server"), self.global_keyprefix)
        except NoPermissionError:
            logger.debug("may not ask the server for its version")
        except UnfitServerError:
            self._disconnect_pools()
            raise


def _given_back(payload: Any) -> int:
    """Count in a message that its consumer gives it back, and return how often that was."""
    headers = payload.setdefault("headers", {})
    headers[REQUEUED] = (headers.get(REQUEUED) or 0) + 1
    return int(headers[REQUEUED])
