"""
Where jobs of a user's app go in a race: each of its queues has a counterpart in the lane.

The app's own routes and bindings still decide which of its queues a job would go to; only then is it led to the
counterpart. So jobs that do not stand in each other's way in the app do not do so in a race either.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kombu import Exchange, Queue
from kombu.transport.virtual.exchange import TopicExchange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from celery import Celery

DESTINATION = ("queue", "exchange", "exchange_type", "routing_key")
"""The options of a job that say where it goes."""

_TOPIC = TopicExchange(None)


def counterpart(lane: str, own: str) -> str:
    """The queue of a lane that stands for one of the app's own; for its default queue (``own`` empty) the lane's."""
    return f"{lane}.{own}" if own else lane


def race_queue(name: str) -> Queue:
    """A queue of a race, with an exchange of its own."""
    return Queue(name, Exchange(name, type="direct"), routing_key=name)


def own_queues(app: Celery, named: Iterable[str] = ()) -> tuple[str, ...]:
    """
    Names of an app's queues, its default queue apart.

    A broadcast has no counterpart, since each node would do the job; nor has a queue that gets a new name in every
    process.

    Args:
        app: As its own settings made it.
        named: More queues, which jobs name.
    """
    found = {
        name: queue
        for name, queue in app.amqp.queues.items()
        if name and queue.exchange.type != "fanout" and not queue.auto_delete
    }
    return tuple(sorted({*found, *filter(None, named)} - {app.conf.task_default_queue}))


class LaneRouter:
    """Leads each job to the counterpart of the queue that the app's own router finds for it."""

    def __init__(self, app: Celery, lane: str, own: Sequence[str]) -> None:
        """
        Take the place of an app's router.

        Args:
            app: As its own settings made it; they are not looked at later.
            lane: The lane's queue, which stands for the app's default queue and for all that has no counterpart.
            own: Names of the app's queues that have one.
        """
        self._lane = lane
        self._own = frozenset(own)
        before: Any = app.amqp.router
        # An app that is led already has its own router behind ours.
        self.router: Any = before.router if isinstance(before, LaneRouter) else before
        self.default: str = before.default if isinstance(before, LaneRouter) else app.conf.task_default_queue
        for name in self._own - set(self.router.queues):
            self.router.queues.add(name)

    def route(
        self, options: Mapping[str, Any], name: str, args: Any = (), kwargs: Any = None, task_type: Any = None
    ) -> dict[str, Any]:
        """The options of a job, with its destination replaced; called by Celery for all that is sent."""
        own = self.own_queue(options, name, args, kwargs, task_type)
        kept = {key: value for key, value in options.items() if key not in DESTINATION}
        return {**kept, "queue": race_queue(counterpart(self._lane, own))}

    def own_queue(
        self, options: Mapping[str, Any], name: str, args: Any = (), kwargs: Any = None, task_type: Any = None
    ) -> str:
        """To which of the app's queues a job would go; empty for its default queue and for one without counterpart."""
        given = {key: options[key] for key in DESTINATION if options.get(key) is not None}
        destination = self.router.expand_destination(given)
        route = self.router.lookup_route(name, args, kwargs or {}, dict(options), task_type)
        if route:
            destination = {**self.router.expand_destination(route), **destination}
        found = self._queue_of(destination)
        return found if found in self._own else ""

    def _queue_of(self, destination: Mapping[str, Any]) -> str:
        """As Celery does: an exchange with a key decides, a queue otherwise."""
        queue: Queue = destination.get("queue") or self.router.queues.get(self.default) or race_queue(self.default)
        exchange, key = destination.get("exchange"), destination.get("routing_key")
        if not exchange and queue.exchange.type == "topic":
            exchange = queue.exchange
        if not (exchange and key):
            return str(queue.name)
        wanted = getattr(exchange, "name", exchange)
        bound = (name for name, each in self.router.queues.items() if _is_bound(each, wanted, key))
        return next(bound, "")


def _is_bound(queue: Queue, exchange: str, key: str) -> bool:
    if queue.exchange.name != exchange:
        return False
    if queue.exchange.type == "topic":
        return re.match(_TOPIC.key_to_pattern(queue.routing_key), key) is not None
    return bool(queue.routing_key == key)
