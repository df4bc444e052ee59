"""
The work of a queue, for whoever decides how many nodes it needs.

It is what waits on the broker, what nodes hold, and what they run. The length of the queue alone is not: nodes
prefetch, so it falls to nothing while each of them still has jobs. Any Celery app on Redis can be asked; nothing of
ours has to run in its nodes.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from producer.errors import FleetError
from producer.fleet.broker_errors import needing_broker
from producer.fleet.queue_depth import goes_to, lists_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kombu import Connection

    from producer.fleet.control import Control

PAGE = 200
"""Messages that are read in one step, so that the broker is not held for all of them."""
FIND_S = 1.0
NOT_REDIS = (
    "--broker: the work of a queue is read in place, and that broker is not Redis. On RabbitMQ, scale on its own count "
    "of messages, ready and unacknowledged."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueWork:
    """
    The work of a queue, and the slots that there are for it.

    Attributes:
        ready: Jobs on the broker, in every priority list.
        unacked: Jobs that nodes have taken and not acknowledged, without those that are held for later.
        running: Jobs that run and are acknowledged already, as with early acknowledgement; the others are unacked.
        later: Jobs that nodes hold until their ETA, which want no slot yet.
        slots: Slots of the nodes that answered and consume the queue.
        nodes: Those nodes.
    """

    ready: int
    unacked: int
    running: int
    later: int
    slots: int
    nodes: int

    @property
    def work(self) -> int:
        """Jobs that want a slot now."""
        return self.ready + self.unacked + self.running

    @property
    def work_per_slot(self) -> float | None:
        """Jobs that want a slot now, over the slots; None without slots."""
        return self.work / self.slots if self.slots else None


class WorkReader:
    """Looks at queues again and again: on the broker, and by asking the nodes."""

    def __init__(self, connection: Connection, control: Control, queues: Sequence[str]) -> None:
        self._control = control
        self._queues = queues
        channel: Any = connection.default_channel
        self._channel = channel
        self._client: Any = getattr(channel, "client", None)
        if not hasattr(self._client, "lrange"):
            raise FleetError(NOT_REDIS)
        # kombu's client puts the app's prefix before the keys of the commands that kombu itself sends, and no others.
        prefix = str(getattr(channel, "global_keyprefix", "") or "")
        self._taken_by_nodes = prefix + channel.unacked_key
        self._held: dict[bytes, tuple[tuple[str, ...], datetime | None]] = {}

    def read(self) -> Mapping[str, QueueWork]:
        """
        Return the work of each queue.

        Raises:
            FleetError: If the broker is gone.
        """
        with needing_broker():
            ready = {
                queue: sum(self._client.llen(key) for key in lists_of(self._channel, [queue])) for queue in self._queues
            }
            due, later = self._unacked()
            running, slots = self._of_nodes()
        return {
            queue: QueueWork(
                ready=ready[queue], unacked=due[queue], running=running[queue], later=later[queue],
                slots=sum(slots[queue]), nodes=len(slots[queue]),
            )
            for queue in self._queues
        }  # fmt: skip

    def _unacked(self) -> tuple[Counter[str], Counter[str]]:
        """Count what nodes have taken and not acknowledged, by queue: what is due, and what has its ETA to come."""
        tags = set(self._client.hkeys(self._taken_by_nodes))
        self._held = {tag: held for tag, held in self._held.items() if tag in tags}
        # Each message is read once, however often it is counted: some are large.
        for tag, raw in self._pages(sorted(tags - set(self._held))):
            if raw is not None:  # not acknowledged in between
                message, exchange, routing_key = json.loads(raw)
                self._held[tag] = self._queues_of(exchange, routing_key), _eta(message)
        due, later, now = Counter[str](), Counter[str](), datetime.now(UTC)
        for queues, eta in self._held.values():
            (later if eta is not None and eta > now else due).update(queues)
        return due, later

    def _queues_of(self, exchange: str, routing_key: str) -> tuple[str, ...]:
        return tuple(queue for queue in self._queues if goes_to(self._channel, queue, exchange, routing_key))

    def _pages(self, tags: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        for first in range(0, len(tags), PAGE):
            page = tags[first : first + PAGE]
            yield from zip(page, self._client.hmget(self._taken_by_nodes, page), strict=True)

    def _of_nodes(self) -> tuple[Counter[str], Mapping[str, list[int]]]:
        """Return the jobs that run though they are acknowledged, and the slots of each node, by queue."""
        consumers = self._control.consumers(FIND_S)
        slots: dict[str, list[int]] = {queue: [] for queue in self._queues}
        for node, count in self._control.slots(sorted(consumers)).items():
            for queue in set(consumers[node]) & set(self._queues):
                slots[queue].append(count)
        running = Counter[str]()
        for jobs in self._control.active(sorted(consumers)).values():
            for where in (job["delivery_info"] for job in jobs if job.get("acknowledged") and job["delivery_info"]):
                running.update(self._queues_of(where["exchange"], where["routing_key"]))
        return running, slots


def _eta(message: Mapping[str, Any]) -> datetime | None:
    try:
        eta = datetime.fromisoformat(message["headers"]["eta"])
    except (KeyError, TypeError, ValueError):
        return None
    return eta if eta.tzinfo else eta.replace(tzinfo=UTC)
