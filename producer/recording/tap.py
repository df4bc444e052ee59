"""Jobs as they lie on a Redis broker: looked at in place, never taken."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

from kombu.serialization import loads

from producer.errors import UsageError
from producer.recording.events import Heard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kombu import Connection

ACCEPT = ("json", "yaml", "msgpack", "application/json", "application/x-yaml", "application/x-msgpack")
"""Never pickle: to read it is to run it."""

LOOK_EVERY_S = 0.02


class Tap:
    """
    Looks again and again at what some queues hold.

    A job that comes and goes between two looks is not seen.

    Attributes:
        jobs: By task id.
    """

    def __init__(self, connection: Connection, queues: Sequence[str]) -> None:
        self.jobs: dict[str, Heard] = {}
        self._queues = queues
        self._channel: Any = connection.default_channel
        self._client: Any = getattr(self._channel, "client", None)
        if not hasattr(self._client, "lrange"):
            raise UsageError(
                "--queue: only the queues of a Redis broker can be looked at in place. Leave --queue out to listen to "
                "the workers' events."
            )

    def look(self) -> None:
        """Note the jobs that are new."""
        at = time.time()
        for queue, message in self._messages():
            task_id = message.get("headers", {}).get("id")
            if task_id and task_id not in self.jobs:
                self.jobs[task_id] = decoded(message, queue, at)

    def _messages(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for queue in self._queues:
            for step in self._channel.priority_steps:
                key = self._channel._q_for_pri(queue, step)  # noqa: SLF001 - kombu has no public name
                for raw in self._client.lrange(key, 0, -1):
                    yield queue, json.loads(raw)
        for raw in self._client.hvals(self._channel.unacked_key):
            message, _exchange, routing_key = json.loads(raw)
            if routing_key in self._queues:
                yield routing_key, message


def decoded(message: Mapping[str, Any], queue: str, at: float) -> Heard:
    """A job from its message; without arguments if they cannot be read safely."""
    headers = message["headers"]
    args, kwargs = _arguments(message)
    return Heard(
        task_id=headers["id"],
        at=at,
        task=str(headers.get("task", "")),
        args=args,
        kwargs=kwargs,
        queue=queue,
        child=bool(headers.get("parent_id")),
    )


def _arguments(message: Mapping[str, Any]) -> tuple[list[Any] | None, dict[str, Any] | None]:
    try:
        body: Any = message["body"]
        if message.get("properties", {}).get("body_encoding") == "base64":
            body = base64.b64decode(body)
        args, kwargs, _embed = loads(body, message["content-type"], message["content-encoding"], accept=ACCEPT)
    except Exception:  # any serialiser's, with any of its errors
        return None, None
    return list(args), dict(kwargs)
