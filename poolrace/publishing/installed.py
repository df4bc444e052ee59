"""Puts the sending in steps into an app, and takes it out again."""

from __future__ import annotations

import atexit
import os
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from kombu.log import get_logger
from kombu.transport import redis

from poolrace.publishing.promise import CURRENT, Promise
from poolrace.publishing.publisher import Publisher
from poolrace.transport.kombu_bases import check_kombu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = get_logger(__name__)

NEEDED = {redis.Channel: "_get_message_priority _put _q_for_pri"}
"""The private names of kombu that it relies on."""

_publishers: WeakKeyDictionary[Any, Publisher] = WeakKeyDictionary()
_changing = Lock()


def install(app: Any, *, confirmed: bool = False, durable: bool = False) -> None:
    """
    Have an app send its tasks in steps.

    Args:
        app: The Celery app; its broker is a Redis.
        confirmed: Each call returns when the broker has its message; threads share steps.
        durable: With `confirmed`: and has it on its disk (Redis 7.2 or newer, with `appendonly yes`).

    Raises:
        ValueError: If the app's broker is no Redis, or `durable` comes without `confirmed`.
        ImportError: If kombu is of a version that it does not fit; the message says what is missing.
        PublishError: If it did so before, and messages of then were not accepted.
    """
    if durable and not confirmed:
        raise ValueError("durable=True needs confirmed=True: a call that does not wait cannot tell of the disk")
    driver = app.connection_for_write().transport.driver_type
    if driver != "redis":
        raise ValueError(f"publishing in steps needs a Redis broker (redis://, rediss://, sentinel://), not {driver}")
    check_kombu(NEEDED, "poolrace.publishing")
    uninstall(app)
    with _changing:
        _publishers[app] = publisher = Publisher(app, confirmed=confirmed, durable=durable)
        app.send_task = publisher.send_task
        _patch()


def uninstall(app: Any) -> None:
    """
    Send what was gathered, and have Celery send the tasks of an app itself again.

    Raises:
        PublishError: If messages without a promise were not accepted.
    """
    with _changing:
        publisher = _publishers.pop(app, None)
        if publisher is None:
            return
        app.__dict__.pop("send_task", None)
        if not _publishers:
            _unpatch()
    publisher.gatherer.close()


def flush(app: Any) -> None:
    """
    Wait until all that the app has sent is with the broker.

    Raises:
        PublishError: If messages without a promise were not accepted.
        LookupError: If the app does not send in steps.
    """
    _publisher(app).gatherer.flush()


@contextmanager
def promise(app: Any) -> Iterator[Promise]:
    """
    Tell in a promise what becomes of the messages that a block sends, in this thread; nothing is raised of them.

    Raises:
        LookupError: If the app does not send in steps.
    """
    _publisher(app)
    made = Promise()
    token = CURRENT.set(made)
    try:
        yield made
    finally:
        CURRENT.reset(token)


def _publisher(app: Any) -> Publisher:
    if app not in _publishers:
        raise LookupError(f"{app!r} does not send in steps: poolrace.publishing.install(app) first")
    return _publishers[app]


# Celery's own apply_async, also that of tasks whose base class overrides it and calls it, and that of groups

_originals: list[Callable[..., Any]] = []


def _patch() -> None:
    if _originals:
        return
    from celery.local import maybe_evaluate

    task_class, group_class = _patched_classes()
    original, original_of_group = task_class.apply_async, group_class.apply_async
    _originals[:] = original, original_of_group

    def apply_async(self: Any, args: Any = None, kwargs: Any = None, *positional: Any, **options: Any) -> Any:
        publisher = None if positional else _publishers.get(self._get_app())
        if publisher is None:
            return original(self, args, kwargs, *positional, **options)
        return publisher.apply_async(original, self, args, kwargs, options)

    def apply_async_of_group(self: Any, *positional: Any, **options: Any) -> Any:
        publisher = _publishers.get(maybe_evaluate(self.app))
        if publisher is None:
            return original_of_group(self, *positional, **options)
        with publisher.gatherer.together():
            return original_of_group(self, *positional, **options)

    task_class.apply_async, group_class.apply_async = apply_async, apply_async_of_group


def _unpatch() -> None:
    task_class, group_class = _patched_classes()
    task_class.apply_async, group_class.apply_async = _originals
    _originals.clear()


def _patched_classes() -> tuple[Any, Any]:
    from celery.app.task import Task
    from celery.canvas import group

    return Task, group


def _after_fork() -> None:
    for publisher in list(_publishers.values()):
        publisher.after_fork()


def _at_exit() -> None:
    for publisher in list(_publishers.values()):
        try:
            publisher.gatherer.close()
        except Exception:
            logger.exception("at the end of the process")


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
