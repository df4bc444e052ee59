"""Puts the sending in steps into an app, and takes it out again."""

from __future__ import annotations

import atexit
import os
from contextlib import contextmanager
from threading import Lock, local
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from kombu.log import get_logger
from kombu.transport import redis

from poolrace.publishing.gatherer import Gatherer
from poolrace.publishing.ids import Ids
from poolrace.publishing.plan import MessagePlan, Printing, UnfitMessageError, plan_of
from poolrace.publishing.promise import CURRENT, Promise
from poolrace.transport.kombu_bases import check_kombu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

logger = get_logger(__name__)

CARRIED = {"queue": str, "priority": int, "ignore_result": bool, "task_id": str}
"""The options of a call that a step can carry, and their types; with any other, Celery sends it."""

ABSENT = frozenset({"task_id", "producer", "link", "link_error", "shadow"})
"""The options of which None says the same as nothing."""

NEEDED = {redis.Channel: "_get_message_priority _put _q_for_pri"}
"""The private names of kombu that it relies on."""

LEVELS = 3
"""How deep a Celery before 5.7 prints arguments, where it is no setting."""

_publishers: WeakKeyDictionary[Any, Publisher] = WeakKeyDictionary()
_changing = Lock()


class Publisher:
    """
    Sends the tasks of one app in steps, and by Celery what a step cannot carry.

    Attributes:
        gatherer: Gathers the messages.
    """

    def __init__(self, app: Any, *, confirmed: bool, durable: bool) -> None:
        self.gatherer = Gatherer(app, confirmed=confirmed, durable=durable)
        self._app = app
        self._ids = Ids()
        self._plans: dict[Any, MessagePlan | None] = {}
        self._of_thread = local()
        self._send_task = app.send_task  # Celery's

    def after_fork(self) -> None:
        """Begin anew in a child: what was gathered before, the parent sends."""
        self._ids = Ids()
        self.gatherer.after_fork()

    def apply_async(
        self, original: Callable[..., Any], task: Any, args: Any, kwargs: Any, options: Mapping[str, Any]
    ) -> Any:
        """Send a task in a step, or by Celery's own `apply_async`."""
        given = {name: value for name, value in options.items() if value is not None or name not in ABSENT}
        plan = self._plan_of_task(original, task, args, kwargs, given)
        if plan is None:
            return original(task, args, kwargs, **options)
        if task.typing:
            task.__header__(*(args or ()), **(kwargs or {}))
        ignore_result = options.get("ignore_result", task.ignore_result)
        return self._send(plan, args, kwargs, given, ignore_result=ignore_result, result_of=task.AsyncResult)

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, *positional: Any, **options: Any) -> Any:
        """Send a task by Celery's own `send_task`, after all that was gathered before it."""
        if not getattr(self._of_thread, "is_planning", False):
            self.gatherer.flush()
        return self._send_task(name, args, kwargs, *positional, **options)

    def _send(
        self,
        plan: MessagePlan,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        *,
        ignore_result: bool | None,
        result_of: Callable[[str], Any],
    ) -> Any:
        app, task_id = self._app, options.get("task_id") or self._ids.task_id()
        parent = app.current_worker_task
        request = parent.request if parent else None
        text = plan.message(
            task_id,
            self._ids.delivery_tag(),
            args,
            kwargs,
            app.thread_oid,
            (request.root_id or request.id, request.id) if request else (None, None),
        )
        if not ignore_result:
            app.backend.on_task_call(None, task_id)  # of those that are plain, none looks at the producer
        # A job may be the last thing that its process does.
        self.gatherer.add(plan.key, text, task_id, confirm=bool(parent))
        result = result_of(task_id)
        result.ignored = ignore_result
        if parent:
            parent.add_trail(result)
        return result

    def _plan_of_task(
        self, original: Callable[..., Any], task: Any, args: Any, kwargs: Any, options: Mapping[str, Any]
    ) -> MessagePlan | None:
        """Return how to make the message of a call; None if Celery has to."""
        if not options.keys() <= CARRIED.keys() or not self._may_carry():
            return None
        if not isinstance(args, (tuple, list, type(None))) or not isinstance(kwargs, (dict, type(None))):
            return None
        if not all(isinstance(options[name], kind) for name, kind in CARRIED.items() if name in options):
            return None
        queue, priority, ignore_result = (options.get(name) for name in ("queue", "priority", "ignore_result"))
        key = (os.getpid(), task.name, type(task), queue, priority, ignore_result)  # a message names its process
        if key not in self._plans:
            self._plans[key] = self._planned(original, task, args, kwargs, options)
        return self._plans[key]

    def _may_carry(self) -> bool:
        """Check whether nobody wants to see or change a message on its way, and it goes anywhere at all."""
        from celery.signals import after_task_publish, before_task_publish, task_sent

        app = self._app
        return not (
            before_task_publish.receivers
            or after_task_publish.receivers
            or task_sent.receivers
            or app.conf.task_always_eager
        )

    def _planned(
        self, original: Callable[..., Any], task: Any, args: Any, kwargs: Any, options: Mapping[str, Any]
    ) -> MessagePlan | None:
        """Have Celery make one message, and keep what is the same in all that are like it."""
        if not self._is_plain(task):
            return None
        recorded: list[tuple[str, dict[str, Any]]] = []
        with self._app.connection_for_write() as connection:
            channel = connection.channel()
            channel._put = lambda queue, message, **_: recorded.append((queue, message))
            producer = self._app.amqp.Producer(channel, auto_declare=False)
            words = {**options, "ignore_result": True, "root_id": "root", "parent_id": "parent"}
            self._of_thread.is_planning = True
            try:
                original(task, args, kwargs, producer=producer, add_to_parent=False, **words)
            finally:
                self._of_thread.is_planning = False
            if len(recorded) != 1 or recorded[0][0] in (getattr(channel, "_expires", None) or {}):
                return None
            queue, message = recorded[0]
            list_key = channel._q_for_pri(queue, channel._get_message_priority(message, reverse=False))
            key = channel.global_keyprefix + list_key
        try:
            ignore_result = options.get("ignore_result", task.ignore_result)
            return plan_of(key, message, printing=self._printing(), ignore_result=ignore_result)
        except UnfitMessageError as error:
            logger.debug("%s is sent by Celery, one by one: %s", task.name, error)
            return None

    def _printing(self) -> Printing:
        amqp = self._app.amqp
        levels = getattr(self._app.conf, "task_repr_maxlevels", LEVELS)
        return Printing(args=amqp.argsrepr_maxsize, kwargs=amqp.kwargsrepr_maxsize, levels=levels)

    def _is_plain(self, task: Any) -> bool:
        """Check whether the messages of a task differ in nothing but ids and arguments."""
        from celery.app.routes import MapRoute
        from celery.app.task import Task

        app, conf = self._app, self._app.conf
        shadow_name = getattr(type(task), "shadow_name", None)
        return (
            not (conf.task_send_sent_event or conf.task_inherit_parent_priority)
            and shadow_name is Task.shadow_name
            and getattr(task, "_dump_pydantic_arguments", None) is None
            and all(isinstance(route, MapRoute) for route in app.amqp.router.routes or ())
            and type(app.backend).on_task_call.__module__ in {"celery.backends.base", "celery.backends.redis"}
        )


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


# Celery's own apply_async, also that of tasks whose base class overrides it and calls it

_original: Callable[..., Any] | None = None


def _patch() -> None:
    global _original  # one class, one patch
    if _original is not None:
        return
    task_class = _task_class()
    original = _original = task_class.apply_async

    def apply_async(self: Any, args: Any = None, kwargs: Any = None, *positional: Any, **options: Any) -> Any:
        publisher = None if positional else _publishers.get(self._get_app())
        if publisher is None:
            return original(self, args, kwargs, *positional, **options)
        return publisher.apply_async(original, self, args, kwargs, options)

    task_class.apply_async = apply_async


def _unpatch() -> None:
    global _original
    _task_class().apply_async, _original = _original, None


def _task_class() -> Any:
    from celery.app.task import Task

    return Task


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
