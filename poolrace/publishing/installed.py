"""Puts the sending in steps into an app, and takes it out again."""

from __future__ import annotations

import atexit
import os
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
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

CARRIED: dict[str, Any] = {
    "queue": str, "priority": int, "ignore_result": bool, "task_id": str, "countdown": (int, float),
    "eta": (datetime, str),
}  # fmt: skip
"""The options of a call that a step can carry, and their types; with any other, Celery sends it."""

FAR_S = 10**9
"""A countdown of more is left to Celery, which may refuse it."""

ABSENT = frozenset({"task_id", "producer", "link", "link_error", "shadow", "countdown", "eta"})
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
        given = _given(options)
        plan = self._plan_of_task(original, task, args, kwargs, given)
        if plan is None:
            return original(task, args, kwargs, **options)
        if task.typing:
            task.__header__(*(args or ()), **(kwargs or {}))
        ignore_result = options.get("ignore_result", task.ignore_result)
        return self._send(plan, args, kwargs, given, ignore_result=ignore_result, result_of=task.AsyncResult)

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, *positional: Any, **options: Any) -> Any:
        """Send a task by its name in a step, or by Celery's own `send_task`, after all that was gathered before it."""
        if getattr(self._of_thread, "is_planning", False):
            return self._send_task(name, args, kwargs, *positional, **options)
        given = _given(options)
        plan = None if positional else self._plan_of_name(name, args, kwargs, given)
        if plan is None:
            self.gatherer.flush()
            return self._send_task(name, args, kwargs, *positional, **options)
        return self._send(
            plan, args, kwargs, given, ignore_result=plan.ignore_result, result_of=self._app.AsyncResult
        )  # fmt: skip

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
            _eta(app, options),
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
        if not self._may_carry(args, kwargs, options):
            return None
        key = (os.getpid(), task.name, type(task), *_kind(options))  # a message names its process
        if key not in self._plans:
            known = {"ignore_result": options.get("ignore_result", task.ignore_result)}
            call = partial(original, task, args, kwargs, **{**options, "ignore_result": True})
            self._plans[key] = self._planned(call, known) if self._has_plain(task) else None
        return self._plans[key]

    def _plan_of_name(self, name: str, args: Any, kwargs: Any, options: Mapping[str, Any]) -> MessagePlan | None:
        """Return how to make the message of a task that is called by its name; None if Celery has to."""
        from celery.result import denied_join_result

        if not self._may_carry(args, kwargs, options):
            return None
        # Of one that is registered here Celery takes the options.
        key = (os.getpid(), name, type(self._app._tasks.get(name)), "by name", *_kind(options))
        if key not in self._plans:
            with denied_join_result():  # nobody waits for the result of the message that is planned with
                self._plans[key] = self._planned(partial(self._send_task, name, args, kwargs, **options), {})
        return self._plans[key]

    def _may_carry(self, args: Any, kwargs: Any, options: Mapping[str, Any]) -> bool:
        """Check whether a step can carry a call, and nobody wants to see or change its message on the way."""
        from celery.signals import after_task_publish, before_task_publish, task_sent

        if not options.keys() <= CARRIED.keys():
            return False
        if not isinstance(args, (tuple, list, type(None))) or not isinstance(kwargs, (dict, type(None))):
            return False
        if not all(isinstance(options[name], kind) for name, kind in CARRIED.items() if name in options):
            return False
        if abs(options.get("countdown", 0)) > FAR_S:
            return False
        return not (
            before_task_publish.receivers
            or after_task_publish.receivers
            or task_sent.receivers
            or self._app.conf.task_always_eager
        )

    def _planned(self, call: Callable[..., Any], known: Mapping[str, Any]) -> MessagePlan | None:
        """
        Have Celery make one message, and keep what is the same in all that are like it.

        Args:
            call: Has Celery send a task, once it knows the producer.
            known: The header `ignore_result`, if it is not that of the message.
        """
        if not self._is_plain():
            return None
        recorded: list[tuple[str, dict[str, Any]]] = []
        with self._app.connection_for_write() as connection:
            channel = connection.channel()
            channel._put = lambda queue, message, **_: recorded.append((queue, message))
            producer = self._app.amqp.Producer(channel, auto_declare=False)
            self._of_thread.is_planning = True
            try:
                call(producer=producer, add_to_parent=False, root_id="root", parent_id="parent")
            finally:
                self._of_thread.is_planning = False
            if len(recorded) != 1 or recorded[0][0] in (getattr(channel, "_expires", None) or {}):
                return None
            queue, message = recorded[0]
            list_key = channel._q_for_pri(queue, channel._get_message_priority(message, reverse=False))
            key = channel.global_keyprefix + list_key
        ignore_result = known.get("ignore_result", message["headers"].get("ignore_result"))
        try:
            return plan_of(key, message, printing=self._printing(), ignore_result=ignore_result)
        except UnfitMessageError as error:
            logger.debug("%s is sent by Celery, one by one: %s", message["headers"].get("task"), error)
            return None

    def _printing(self) -> Printing:
        amqp = self._app.amqp
        levels = getattr(self._app.conf, "task_repr_maxlevels", LEVELS)
        return Printing(args=amqp.argsrepr_maxsize, kwargs=amqp.kwargsrepr_maxsize, levels=levels)

    def _is_plain(self) -> bool:
        """Check whether the messages of a kind of call differ in nothing but ids, arguments and when they are due."""
        from celery.app.routes import MapRoute

        app, conf = self._app, self._app.conf
        return (
            not (conf.task_send_sent_event or conf.task_inherit_parent_priority)
            and all(isinstance(route, MapRoute) for route in app.amqp.router.routes or ())
            and type(app.backend).on_task_call.__module__ in {"celery.backends.base", "celery.backends.redis"}
        )

    def _has_plain(self, task: Any) -> bool:
        """Check whether a task names and writes its calls as Celery does."""
        from celery.app.task import Task

        shadow_name = getattr(type(task), "shadow_name", None)
        return shadow_name is Task.shadow_name and getattr(task, "_dump_pydantic_arguments", None) is None


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None or name not in ABSENT}


def _kind(options: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the messages of a kind of call have in common, of its options."""
    is_due_later = bool(options.get("countdown") or options.get("eta"))
    return (options.get("queue"), options.get("priority"), options.get("ignore_result"), is_due_later)


def _eta(app: Any, options: Mapping[str, Any]) -> str:
    """Return when a call is due, as Celery writes it; empty for at once."""
    from celery.utils.time import maybe_make_aware

    if countdown := options.get("countdown"):
        due = app.now() + timedelta(seconds=countdown)
        return str(maybe_make_aware(due, tz=app.timezone).isoformat())
    eta = options.get("eta") or ""
    return eta if isinstance(eta, str) else eta.isoformat()


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
