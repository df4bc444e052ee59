"""Reads the jobs in the queues of a Redis broker in place, without taking them."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

from kombu.compression import decompress
from kombu.serialization import loads

from poolrace.contract import HEADER
from producer.errors import UsageError
from producer.fleet.queue_depth import goes_to
from producer.ownapp.event_listener import NOT_CELERY, UNDECODABLE, RecordedJob, instant, is_child

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kombu import Connection

ACCEPT = ("json", "yaml", "msgpack", "application/json", "application/x-yaml", "application/x-msgpack")
"""Never pickle: reading it runs it."""

KEPT_OPTIONS = ("queue", "priority", "time_limit", "soft_time_limit")

READ_EVERY_S = 0.02
PAGE = 100
"""Messages of a list that are read at a time, so that a long backlog is not transferred fifty times a second."""

CELERYS_OWN = frozenset({
    "lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id",
    "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers",
    "stamps", "compression", "redelivered", "meth", "chord", HEADER,
})  # fmt: skip


class QueueReader:
    """
    Reads the messages in some queues again and again.

    A job that comes and goes between two reads is missed.

    Attributes:
        jobs: The jobs so far, by task id.
        before: Ids of the jobs of the first read: when they came is not known.
    """

    def __init__(self, connection: Connection, queues: Sequence[str]) -> None:
        self.jobs: dict[str, RecordedJob] = {}
        self.before: set[str] = set()
        self._queues = queues
        self._channel: Any = connection.default_channel
        self._client: Any = getattr(self._channel, "client", None)
        # kombu's client puts the app's prefix before the keys of the commands that kombu itself sends, and no others.
        self._prefix = str(getattr(self._channel, "global_keyprefix", "") or "")
        self._tags: set[bytes] = set()
        self._has_read = False
        if not hasattr(self._client, "lrange"):
            raise UsageError(
                "--queue: only the queues of a Redis broker can be looked at in place. Leave --queue out to listen to "
                "the workers' events."
            )

    def read(self) -> None:
        """Read the queues once, and note the jobs that are new, in the order in which they came."""
        at = time.time()
        waiting = [
            (queue, message)
            for queue in self._queues
            for step in self._channel.priority_steps
            for message in self._waiting(self._channel._q_for_pri(queue, step))  # noqa: SLF001 - no public name
        ]
        # Read after the lists, so that a job that a node takes in between is not missed; noted before them, since what
        # has been taken came before what waits.
        for queue, message in (*self._unacked(), *waiting):
            self._note(message, queue, at)
        self._has_read = True

    def _waiting(self, key: str) -> list[Mapping[str, Any]]:
        """Read the pages of a list until one has no new job: new jobs are put at the left. Return the oldest first."""
        found: list[Mapping[str, Any]] = []
        while page := self._client.lrange(self._prefix + key, len(found), len(found) + PAGE - 1):
            found += map(_plain, page)
            if not any(self._is_new(message) for message in found[-len(page) :]):
                break
        return found[::-1]

    def _unacked(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        taken_by_nodes = self._prefix + self._channel.unacked_key
        tags = set(self._client.hkeys(taken_by_nodes))
        fresh = sorted(tags - self._tags, key=self._taken_at)
        self._tags = tags
        taken = self._client.hmget(taken_by_nodes, fresh) if fresh else []
        for raw in taken:
            if raw is not None:  # not acknowledged in between
                message, exchange, routing_key = json.loads(raw)
                yield from (
                    (queue, message) for queue in self._queues if goes_to(self._channel, queue, exchange, routing_key)
                )

    def _taken_at(self, tag: bytes) -> float:
        """Return when a node took a message, which kombu keeps beside it; 0 if it has been acknowledged."""
        return float(self._client.zscore(self._prefix + self._channel.unacked_index_key, tag) or 0.0)

    def _is_new(self, message: Mapping[str, Any]) -> bool:
        task_id = _id_of(message)
        return task_id not in self.jobs and task_id not in self.before

    def _note(self, message: Mapping[str, Any], queue: str, at: float) -> None:
        if not self._is_new(message):
            return
        headers, task_id = _headers(message), _id_of(message)
        if not self._has_read or headers.get("retries") or headers.get("redelivered"):
            self.before.add(task_id)
        else:
            self.jobs[task_id] = decoded(message, queue, at)


def _id_of(message: Mapping[str, Any]) -> str:
    # A message that is not Celery's has no id; its body stands for it.
    return str(_headers(message).get("id") or hash(str(message.get("body"))))


def _plain(raw: bytes) -> Mapping[str, Any]:
    try:
        message = json.loads(raw)
    except ValueError:
        message = None
    return message if isinstance(message, dict) else {"body": repr(raw)}


def _headers(message: Mapping[str, Any]) -> Mapping[str, Any]:
    headers = message.get("headers")
    return headers if isinstance(headers, dict) else {}


def decoded(message: Mapping[str, Any], queue: str, at: float) -> RecordedJob:
    """Return the job of a message; without arguments if they cannot be read safely."""
    headers = _headers(message)
    named = bool(headers.get("id") and headers.get("task"))
    args, kwargs, embed = _body(message) if named else (None, None, {})
    return RecordedJob(
        task_id=str(headers.get("id") or ""),
        # A job with a countdown is sent again when it was due.
        at=(due_at := instant(headers.get("eta"), at)),
        task=str(headers.get("task") or "(no task's name)"),
        args=args,
        kwargs=kwargs,
        queue=queue,
        headers={name: value for name, value in headers.items() if name not in CELERYS_OWN and value is not None},
        options=_options(message, embed, due_at),
        child=is_child(headers, str(headers.get("id"))),
        later=due_at != at,
        reason="" if args is not None else UNDECODABLE if named else NOT_CELERY,
    )


def _body(message: Mapping[str, Any]) -> tuple[list[Any] | None, dict[str, Any] | None, Mapping[str, Any]]:
    """Return the arguments of a message, and what its third part says of the jobs that follow it."""
    try:
        body: Any = message["body"]
        if message.get("properties", {}).get("body_encoding") == "base64":
            body = base64.b64decode(body)
        if compression := _headers(message).get("compression"):
            body = decompress(body, compression)
        args, kwargs, embed = loads(body, message["content-type"], message["content-encoding"], accept=ACCEPT)
        return list(args), dict(kwargs), dict(embed or {})
    except Exception:  # any serialiser's or compressor's, with any of its errors
        return None, None, {}


def _options(message: Mapping[str, Any], embed: Mapping[str, Any], at: float) -> dict[str, Any]:
    """Return what the sender of a message asked for, by the keys of a job file."""
    headers, properties = _headers(message), message.get("properties") or {}
    hard_s, soft_s = (*(headers.get("timelimit") or ()), None, None)[:2]
    expires_at = instant(headers.get("expires"), 0.0)
    found = {
        "priority": properties.get("priority") or None,
        "expires": round(expires_at - at, 3) if expires_at > at else None,
        "time_limit": hard_s,
        "soft_time_limit": soft_s,
        "link": [_followed(each) for each in embed.get("callbacks") or ()],
        "link_error": [_followed(each) for each in embed.get("errbacks") or ()],
        "chain": [_followed(each) for each in embed.get("chain") or ()],
    }
    return {name: value for name, value in found.items() if value}


def _followed(signature: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a signature that is the same each time it is sent: no ids of the jobs that were."""
    options = {
        name: value for name, value in (signature.get("options") or {}).items() if name in KEPT_OPTIONS and value
    }
    kept = {name: signature[name] for name in ("task", "args", "kwargs", "immutable") if signature.get(name)}
    return {**kept, **({"options": options} if options else {})}
