"""Hands stamped jobs to the broker, batch by batch."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kombu.exceptions import BatchPublishError, OperationalError  # type: ignore[attr-defined] # not in its stubs
from kombu.serialization import dumps

from poolrace.contract import HEADER, Stamp
from poolrace.ownapp.routing import counterpart
from producer.measure.order import BATCH_JOBS, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from celery import Celery

    from producer.plan.jobs import Call, Message

IGNORE_RESULT = "ignore_result"
"""Celery's header for whether the result of a job is stored; without it, its task and the node's setting decide."""


class JobSender:
    """Stamps jobs and hands them to the broker; the part of a publisher that knows Celery's messages."""

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
            The instant at which each was sent: just before it was handed to kombu.

        Raises:
            OperationalError: If the broker did not take them all; it is not known which it took.
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
            # kombu wraps errors of a batch, but not as an OperationalError, and does not wrap those on the way into it.
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
        message: Any = self._app.amqp.as_task_v2(job_id, common.task, common.args, **common.headers)
        del message.headers[IGNORE_RESULT]  # so that the node's own setting decides
        message.headers[HEADER] = stamp.to_header()
        self._producer.publish(
            common.body,
            exchange="",
            routing_key=order.queue_of(order.calls[part]),
            content_type=common.content_type,
            content_encoding=common.content_encoding,
            headers=message.headers,
            **({} if order.priority is None else {"priority": order.priority}),
            **message.properties,
        )

    def _publish_as_made(self, order: Order, call: Call, seq: int, job_id: str, stamp: Stamp) -> None:
        message = call.messages[call.message_index[seq % len(call.message_index)]]
        priority = message.priority if order.priority is None else order.priority
        expires = {} if message.expires_s is None else {"expires": _instant(stamp.sent_at + message.expires_s)}
        self._producer.publish(
            message.body,
            exchange="",
            routing_key=counterpart(order.queue_of(call), message.queue),
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers={**_headers(message, order), **expires, "id": job_id, "root_id": job_id, HEADER: stamp.to_header()},
            correlation_id=job_id,
            reply_to=message.reply_to,
            **({} if priority is None else {"priority": priority}),
        )


def _headers(message: Message, order: Order) -> Mapping[str, Any]:
    """Return the headers of a message of the user's app; on a lane with `results`, its nodes' setting decides."""
    if order.results_by_node and message.results_by_task:
        return {name: value for name, value in message.headers.items() if name != IGNORE_RESULT}
    return message.headers


def _instant(at: float) -> str:
    """Return an instant as Celery's headers have it."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def _keep_client(channel: Any) -> None:
    """
    Make a channel of kombu's Redis transport keep one client.

    It would make one for every batch, which costs as much as two jobs and shows as lag at high rates.
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
    The part that all messages of one task share.

    It is made once an order instead of once a job, since it is nearly half of the cost of a message.

    Attributes:
        task: Celery's name of the task.
        args: The task's positional arguments.
        headers: The headers of Celery that cost most to make.
        body: The task's arguments, serialised.
        content_type: The content type of the body.
        content_encoding: The content encoding of the body.
    """

    task: str
    args: tuple[Any, ...]
    headers: Mapping[str, Any]
    body: bytes | str
    content_type: str
    content_encoding: str
