"""
Routes jobs of a user's app in a race: each of the app's queues has a counterpart in the lane.

The app's own routes and bindings still choose one of its queues for a job; only then is the job sent to the
counterpart. So jobs that do not hold each other up in the app do not do so in a race either.
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
"""The options of a job that choose its destination."""

_TOPIC = TopicExchange(None)


def counterpart(lane: str, own: str) -> str:
    """Return a lane's counterpart of a queue of the app; for the default queue (`own` empty), the lane's own queue."""
    return f"{lane}.{own}" if own else lane


def race_queue(name: str) -> Queue:
    """Return a queue of a race, with an exchange of its own."""
    return Queue(name, Exchange(name, type="direct"), routing_key=name)


def own_queues(app: Celery, named: Iterable[str] = ()) -> tuple[str, ...]:
    """
    Return the names of an app's queues without its default queue.

    A broadcast queue has no counterpart, since each node would do the job; nor has a queue that gets a new name in
    every process.

    Args:
        app: The app with its own settings.
        named: More queues, which jobs name.
    """
    found = {
        name: queue
        for name, queue in app.amqp.queues.items()
        if name and queue.exchange.type != "fanout" and not queue.auto_delete
    }
    return tuple(sorted({*found, *filter(None, named)} - {app.conf.task_default_queue}))


class LaneRouter:
    """Sends each job to the counterpart of the queue that the app's own router finds for it."""

    def __init__(self, app: Celery, lane: str, own: Sequence[str]) -> None:
        """
        Take the place of an app's router.

        Args:
            app: The app with its own settings; they are not read later.
            lane: The lane's queue, which stands for the app's default queue and for every queue without counterpart.
            own: Names of the app's queues that have a counterpart.
        """
        self._lane = lane
        self._own = frozenset(own)
        before: Any = app.amqp.router
        # An app that was redirected before has its own router behind this one.
        self.router: Any = before.router if isinstance(before, LaneRouter) else before
        self.default: str = before.default if isinstance(before, LaneRouter) else app.conf.task_default_queue
        for name in self._own - set(self.router.queues):
            self.router.queues.add(name)

    def route(
        self, options: Mapping[str, Any], name: str, args: Any = (), kwargs: Any = None, task_type: Any = None
    ) -> dict[str, Any]:
        """Return the options of a job with its destination replaced; Celery calls it for every job that is sent."""
        own = self.own_queue(options, name, args, kwargs, task_type)
        kept = {key: value for key, value in options.items() if key not in DESTINATION}
        return {**kept, "queue": race_queue(counterpart(self._lane, own))}

    def own_queue(
        self, options: Mapping[str, Any], name: str, args: Any = (), kwargs: Any = None, task_type: Any = None
    ) -> str:
        """Return the app's queue that a job would go to; empty for the default queue and one without counterpart."""
        given = {key: options[key] for key in DESTINATION if options.get(key) is not None}
        destination = self.router.expand_destination(given)
        route = self.router.lookup_route(name, args, kwargs or {}, dict(options), task_type)
        if route:
            destination = {**self.router.expand_destination(route), **destination}
        found = self._queue_of(destination)
        return found if found in self._own else ""

    def _queue_of(self, destination: Mapping[str, Any]) -> str:
        """Find a queue as Celery does: by the exchange and key if there are both, by the queue otherwise."""
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
