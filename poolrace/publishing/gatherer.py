"""Gathers messages into steps and sends each step in one round trip, in order."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Condition, Event, Lock, RLock, Thread, local
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import redis
from kombu.log import get_logger
from kombu.utils.functional import retry_over_time
from redis.exceptions import NoScriptError, ResponseError

from poolrace.publishing.errors import PublishError
from poolrace.publishing.promise import CURRENT, Promise
from poolrace.publishing.script import PUBLISH, SHA, arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = get_logger(__name__)

LINGER_S = 0.001
"""How long a message waits for others before its step is sent."""

STEP_MESSAGES, STEP_BYTES = 256, 1 << 18
"""A step with so many messages, or so large, is sent at once."""

MOST_MESSAGES = 8192
"""So many messages wait for a server that is slow or gone; who would add more waits with them."""

FSYNC_WAIT_MS = 2000
"""How long a confirmed step waits until the server has its messages on its disk."""


@dataclass(frozen=True, slots=True)
class Message:
    """
    A message that is to be sent.

    Attributes:
        key: The list on the server.
        text: The message as kombu writes it.
        task_id: The id of its task.
        promise: Where its end is told, if it is not raised.
        confirm: Whether its sender waits for it.
    """

    key: str
    text: str
    task_id: str
    promise: Promise | None
    confirm: bool


@dataclass(slots=True)
class Step:
    """
    Messages that are sent in one round trip.

    Attributes:
        began_s: When its first message came, on the monotonic clock.
        messages: In order.
        size: Their length in characters.
        number: Its place among all of this process, from 1; 0 before it is sent.
        is_settled: True when all are accepted or failed.
        failed: What the messages for which somebody waits failed of, by the id of the task.
    """

    began_s: float
    messages: list[Message] = field(default_factory=list)
    size: int = 0
    number: int = 0
    is_settled: Event = field(default_factory=Event)
    failed: dict[str, BaseException] = field(default_factory=dict)

    def is_full(self) -> bool:
        """Check whether it is sent without waiting for more."""
        return len(self.messages) >= STEP_MESSAGES or self.size >= STEP_BYTES


def _is_of_the_step(error: BaseException) -> bool:
    """Check whether a step failed of an error, and its sender was not just interrupted: by a time limit, or Ctrl-C."""
    from celery.exceptions import SoftTimeLimitExceeded

    return isinstance(error, Exception) and not isinstance(error, SoftTimeLimitExceeded)


class Gatherer:
    """
    Sends messages to one broker, gathered; of all threads of this process.

    Who adds a message sends the step if it is full or old enough; else a thread does, a millisecond later. A step whose
    answer is lost is sent again, as the app's `task_publish_retry_policy` says: the server does it once.
    """

    def __init__(self, app: Any, *, confirmed: bool, durable: bool) -> None:
        self._app = app
        self._of_thread = local()
        self.confirmed = confirmed
        self._durable = durable
        self._lost = app.connection_for_write().recoverable_connection_errors
        self._begin()

    def _begin(self) -> None:
        self._publisher = f"_kombu.publisher.{uuid4().hex}"
        self._lock, self._sending = Lock(), RLock()
        self._waiting = Condition(self._lock)
        self._open: Step | None = None
        self._interrupted: Step | None = None
        self._number = 0
        self._failed: list[str] = []
        self._failed_of: BaseException | None = None
        self._connection: Any = None
        self._client: Any = None
        self._prefix = ""
        self._thread: Thread | None = None

    def after_fork(self) -> None:
        """Begin anew in a child."""
        self._begin()

    def add(self, key: str, text: str, task_id: str, *, confirm: bool = False) -> None:
        """
        Send a message with others.

        Args:
            key: The list on the server, prefix included.
            text: The message as kombu writes it.
            task_id: The id of its task.
            confirm: Wait until it is with the broker, also where that is not asked for all.

        Raises:
            PublishError: If messages without a promise were not accepted: earlier ones, and then this one is not sent,
                or this one's step.
        """
        self._raise_failed()
        promise = CURRENT.get()
        if promise is not None:
            promise.begin()
        confirm = confirm or self.confirmed
        step = self._gather(Message(key, text, task_id, promise, confirm))
        together: list[tuple[Step, str]] | None = getattr(self._of_thread, "together", None)
        if confirm and together is None:
            self._confirm([(step, task_id)])
            return
        if confirm and together is not None:
            together.append((step, task_id))
        if step.is_full() or (not confirm and monotonic() - step.began_s >= LINGER_S):
            # Behind a step that is under way this one may grow, so long as it does not grow too large.
            self._send_open(wait=len(step.messages) >= MOST_MESSAGES)
            self._raise_failed()

    def _gather(self, message: Message) -> Step:
        with self._lock:
            step = self._open
            if step is None:
                step = self._open = Step(monotonic())
                if not self.confirmed:
                    self._wake()
            step.messages.append(message)
            step.size += len(message.text)
            return step

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._keep_sending, name="poolrace-publishing", daemon=True)
            self._thread.start()
        self._waiting.notify()

    def _keep_sending(self) -> None:
        """Send what nobody else has sent by the time that it is due."""
        while True:
            with self._waiting:
                while (step := self._interrupted or self._open) is None:
                    self._waiting.wait()
                wait_s = step.began_s + LINGER_S - monotonic()
            if wait_s > 0:
                sleep(wait_s)
                continue
            self._send_open(wait=True)

    @contextmanager
    def together(self) -> Iterator[None]:
        """
        Have a block wait once for all its messages that have to be confirmed, at its end.

        Raises:
            PublishError: If some of them were not accepted.
        """
        if getattr(self._of_thread, "together", None) is not None:
            yield  # a part of a block that waits for all
            return
        sent = self._of_thread.together = []
        try:
            yield
        except BaseException:
            self._of_thread.together = None
            with suppress(PublishError):  # its own error is raised, and tells that the block was not done
                self._confirm(sent)
            raise
        self._of_thread.together = None
        self._confirm(sent)

    def _confirm(self, sent: Sequence[tuple[Step, str]]) -> None:
        """Wait until steps are settled; who finds nobody sending sends them, with what others have added meanwhile."""
        failed: dict[str, BaseException] = {}
        for step, task_id in sent:
            if not step.is_settled.is_set():
                with self._sending:
                    while not step.is_settled.is_set():
                        self._send_open(wait=True)
            if (cause := step.failed.get(task_id)) is not None:
                failed[task_id] = cause
        if failed:
            cause = next(iter(failed.values()))
            raise PublishError(list(failed), cause) from cause

    def flush(self) -> None:
        """
        Wait until all that was added before is with the broker.

        Raises:
            PublishError: If messages without a promise were not accepted.
        """
        self._send_open(wait=True)
        self._raise_failed()

    def _raise_failed(self) -> None:
        if self._failed_of is None:
            return
        with self._lock:
            failed, cause, self._failed, self._failed_of = self._failed, self._failed_of, [], None
        if cause is not None:
            raise PublishError(failed, cause) from cause

    def _send_open(self, *, wait: bool) -> None:
        if not self._sending.acquire(blocking=wait):
            return
        try:
            if (step := self._next()) is None:
                return
            was_interrupted = step.number > 0
            self._send(step)
            if was_interrupted and (gathered := self._next()) is not None:
                self._send(gathered)
        finally:
            self._sending.release()

    def _next(self) -> Step | None:
        """Return the step to send, before one that was gathered one that was interrupted; None if there is neither."""
        with self._lock:
            step = self._interrupted or self._open
            if step is self._interrupted:
                self._interrupted = None
            else:
                self._open = None
            return step

    def _send(self, step: Step) -> None:
        lists: dict[str, list[Message]] = {}
        for message in step.messages:
            lists.setdefault(message.key, []).append(message)
        if not step.number:
            self._number += 1
            step.number = self._number
        try:
            texts = {key: [each.text for each in some] for key, some in lists.items()}
            refused = self._execute_again(step.number, texts)
        except BaseException as error:
            if _is_of_the_step(error):
                self._settle(step, [], step.messages, error)
                return
            # Of whom it happened to. The step is sent again, which the server does once.
            with self._lock:
                self._interrupted = step
                self._wake()
            self._disconnect()
            raise
        of_lists = list(lists.values())
        failed = [message for number, _ in refused for message in of_lists[number]]
        lost = {id(message) for message in failed}
        accepted = [message for message in step.messages if id(message) not in lost]
        self._settle(step, accepted, failed, ResponseError(refused[0][1]) if refused else None)

    def _settle(
        self, step: Step, accepted: Sequence[Message], failed: Sequence[Message], error: BaseException | None
    ) -> None:
        promises: dict[Promise, tuple[int, list[str]]] = {}
        unpromised = [message for message in failed if message.promise is None]
        for message in accepted:
            if message.promise is not None:
                count, ids = promises.get(message.promise, (0, []))
                promises[message.promise] = count + 1, ids
        for message in failed:
            if message.promise is not None:
                promises.setdefault(message.promise, (0, []))[1].append(message.task_id)
        for promise, (count, ids) in promises.items():
            promise.settle(count, ids, error if ids else None)
        if error is not None:
            step.failed = {message.task_id: error for message in unpromised if message.confirm}
            if raised_later := [message.task_id for message in unpromised if not message.confirm]:
                with self._lock:
                    self._failed += raised_later
                    self._failed_of = error
        step.is_settled.set()

    # The server

    def _execute_again(self, number: int, lists: dict[str, list[str]]) -> list[tuple[int, str]]:
        """Send a step until it is answered, as often and as long as Celery would try to send a message."""
        conf = self._app.conf
        policy = dict(conf.task_publish_retry_policy) if conf.task_publish_retry else {"max_retries": 0}
        if policy.get("max_retries") == 0:  # by which retry_over_time means: for ever
            return self._execute(number, lists)
        again: tuple[list[tuple[int, str]]] = retry_over_time(
            lambda: (self._execute(number, lists),),
            self._lost,
            errback=self._on_loss,  # type: ignore[arg-type] # its stubs know another form
            max_retries=policy.get("max_retries"),
            interval_start=policy.get("interval_start", 0),
            interval_step=policy.get("interval_step", 0.2),
            interval_max=policy.get("interval_max", 1),
        )
        return again[0]

    def _on_loss(self, error: Exception, intervals: Any, _retries: int) -> float:
        wait_s = float(next(intervals))
        logger.warning("a step of messages is sent again in %.1f s: %s", wait_s, error)
        self._disconnect()
        return wait_s

    def _execute(self, number: int, lists: dict[str, list[str]]) -> list[tuple[int, str]]:
        client = self._connected()
        values = arguments(self._prefix + self._publisher, number, lists)
        try:
            answer = self._answer(client, "EVALSHA", SHA, values)
        except NoScriptError:
            answer = self._answer(client, "EVAL", PUBLISH, values)
        texts = [each.decode() if isinstance(each, bytes) else each for each in answer]
        return list(zip(map(int, texts[::2]), map(str, texts[1::2]), strict=True))

    def _answer(self, client: Any, command: str, script: str, values: Sequence[Any]) -> Any:
        if not self._durable:
            return client.execute_command(command, script, *values)
        with client.pipeline(transaction=False) as pipe:
            pipe.execute_command(command, script, *values)
            pipe.execute_command("WAITAOF", 1, 0, FSYNC_WAIT_MS)
            answer, (local, _) = pipe.execute()
        if not local:
            raise ResponseError(f"the server has not written them to its disk within {FSYNC_WAIT_MS / 1000:g} s")
        return answer

    def _connected(self) -> Any:
        if self._client is None:
            self._connection = self._app.connection_for_write()
            try:
                self._client = self._client_of(self._connection)
            except BaseException:
                self._disconnect()
                raise
        return self._client

    def _client_of(self, connection: Any) -> Any:
        connection.ensure_connection(max_retries=1)
        channel = connection.default_channel
        self._prefix = channel.global_keyprefix
        client = redis.Redis(connection_pool=channel.pool)  # which takes keys as they are
        if self._durable and not client.info("persistence").get("aof_enabled"):
            raise ResponseError("durable=True needs a server with appendonly yes")
        return client

    def _disconnect(self) -> None:
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.release()

    def close(self) -> None:
        """
        Send what was gathered, and close the connection.

        Raises:
            PublishError: If messages without a promise were not accepted.
        """
        try:
            self.flush()
        finally:
            with self._sending:
                self._disconnect()
