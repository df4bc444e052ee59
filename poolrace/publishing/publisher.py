"""Sends the tasks of an app in steps, and has Celery send what a step cannot carry."""

from __future__ import annotations

import os
from functools import partial
from threading import local
from typing import TYPE_CHECKING, Any

from kombu.log import get_logger

from poolrace.publishing.gatherer import Gatherer
from poolrace.publishing.ids import Ids
from poolrace.publishing.options import are_carried, embedded, further, given, kind_of
from poolrace.publishing.plan import PARENT, ROOT, MessagePlan, Printing, UnfitMessageError, plan_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextvars import ContextVar

logger = get_logger(__name__)

TRIED_AGAIN = frozenset({"max_retries", "interval_start", "interval_step", "interval_max"})
"""What kombu notes among a connection's options once it has been opened by one that is tried again."""

MOST_KINDS = 1024
"""So many kinds of call are known at once: their headers may have any names."""

LEVELS = 3
"""How deep a Celery before 5.7 prints arguments, where it is no setting."""


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
        self._place = _place(app.connection_for_write())
        self._is_tried_again = _is_tried_again()

    def after_fork(self) -> None:
        """Begin anew in a child: what was gathered before, the parent sends."""
        self._ids = Ids()
        self.gatherer.after_fork()

    def apply_async(
        self, original: Callable[..., Any], task: Any, args: Any, kwargs: Any, options: Mapping[str, Any]
    ) -> Any:
        """Send a task in a step, or by Celery's own `apply_async`."""
        said = given(options)
        plan = self._plan_of_task(original, task, args, kwargs, said)
        if plan is None:
            return original(task, args, kwargs, **options)
        if task.typing:
            task.__header__(*(args or ()), **(kwargs or {}))
        ignore_result = options.get("ignore_result", task.ignore_result)
        return self._send(plan, args, kwargs, said, ignore_result=ignore_result, result_of=task.AsyncResult)

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, *positional: Any, **options: Any) -> Any:
        """Send a task by its name in a step, or by Celery's own `send_task`, after all that was gathered before it."""
        if getattr(self._of_thread, "is_planning", False):
            return self._send_task(name, args, kwargs, *positional, **options)
        said = given(options)
        plan = None if positional else self._plan_of_name(name, args, kwargs, said)
        if plan is None:
            self.gatherer.flush()
            return self._send_task(name, args, kwargs, *positional, **options)
        return self._send(
            plan, args, kwargs, said, ignore_result=plan.ignore_result, result_of=self._app.AsyncResult
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
        ancestors = _ancestors(parent, options) if parent or options else (None, None)
        text = plan.message(
            task_id,
            self._ids.delivery_tag(),
            args,
            kwargs,
            options.get("reply_to") or app.thread_oid,
            ancestors,
            further(app, options),
            embedded(plan.embedded, options),
        )
        if not ignore_result:
            app.backend.on_task_call(None, task_id)  # of those that are plain, none looks at the producer
        # A job may be the last thing that its process does.
        self.gatherer.add(plan.key, text, task_id, confirm=bool(parent))
        result = result_of(task_id)
        result.ignored = ignore_result
        if parent and options.get("add_to_parent", True):
            parent.add_trail(result)
        return result

    def _plan_of_task(
        self, original: Callable[..., Any], task: Any, args: Any, kwargs: Any, options: Mapping[str, Any]
    ) -> MessagePlan | None:
        """Return how to make the message of a call; None if Celery has to."""
        if not self._may_carry(args, kwargs, options):
            return None
        key = (os.getpid(), task.name, type(task), *kind_of(options))  # a message names its process
        if (plans := self._plans) and key in plans:
            return plans[key]
        known = {"ignore_result": options.get("ignore_result", task.ignore_result)}
        call = partial(original, task, args, kwargs, **{**options, "ignore_result": True})
        return self._kept(key, self._planned(call, known, args, kwargs, options) if self._has_plain(task) else None)

    def _plan_of_name(self, name: str, args: Any, kwargs: Any, options: Mapping[str, Any]) -> MessagePlan | None:
        """Return how to make the message of a task that is called by its name; None if Celery has to."""
        from celery.result import denied_join_result

        if not self._may_carry(args, kwargs, options):
            return None
        # Of one that is registered here Celery takes the options.
        key = (os.getpid(), name, type(self._app._tasks.get(name)), "by name", *kind_of(options))
        if (plans := self._plans) and key in plans:
            return plans[key]
        with denied_join_result():  # nobody waits for the result of the message that is planned with
            call = partial(self._send_task, name, args, kwargs, **options)
            return self._kept(key, self._planned(call, {}, args, kwargs, options))

    def _kept(self, key: Any, plan: MessagePlan | None) -> MessagePlan | None:
        if len(self._plans) >= MOST_KINDS:
            self._plans = {}  # other threads may look into the one that there was
        self._plans[key] = plan
        return plan

    def _may_carry(self, args: Any, kwargs: Any, options: Mapping[str, Any]) -> bool:
        """Check whether a step can carry a call, and nobody wants to see or change its message on the way."""
        from celery.signals import after_task_publish, before_task_publish, task_sent

        if not isinstance(args, (tuple, list, type(None))) or not isinstance(kwargs, (dict, type(None))):
            return False
        if options and not (are_carried(self._app, options) and self._is_own(options.get("producer"))):
            return False
        return not (
            before_task_publish.receivers
            or after_task_publish.receivers
            or task_sent.receivers
            or (self._is_tried_again is not None and self._is_tried_again.get())
            or self._app.conf.task_always_eager
        )

    def _is_own(self, producer: Any) -> bool:
        """Check whether a producer sends as steps do: it is none, or one of the app's that does nothing of its own."""
        if producer is None:
            return True
        return (
            type(producer) is self._app.amqp.Producer
            and _place(producer.connection) == self._place
            and not (producer.exchange.name or producer.compression or producer.on_return)
            and getattr(getattr(producer, "_batch_local", None), "current", None) is None
        )

    def _planned(
        self, call: Callable[..., Any], known: Mapping[str, Any], args: Any, kwargs: Any, options: Mapping[str, Any]
    ) -> MessagePlan | None:
        """
        Have Celery make one message, and keep what is the same in all that are like it.

        Args:
            call: Has Celery send a task, once it knows the producer.
            known: The header `ignore_result`, if it is not that of the message.
            args: The positional arguments of the task.
            kwargs: Its keyword arguments.
            options: Those of the call.
        """
        if not self._is_plain():
            return None
        recorded = self._recorded(call)
        if recorded is None:
            return None
        key, message = recorded
        ignore_result = known.get("ignore_result", message["headers"].get("ignore_result"))
        filled = further(self._app, options)
        try:
            plan = plan_of(key, message, printing=self._printing(), ignore_result=ignore_result, further=filled)
        except UnfitMessageError as error:
            logger.debug("%s is sent by Celery, one by one: %s", message["headers"].get("task"), error)
            return None
        embed = embedded(plan.embedded, options)
        return plan if plan.makes(message, args, kwargs, filled, embed) else None

    def _recorded(self, call: Callable[..., Any]) -> tuple[str, dict[str, Any]] | None:
        """Return the message that Celery makes of a call, and its list on the server; None if that is not one list."""
        recorded: list[tuple[str, dict[str, Any]]] = []
        with self._app.connection_for_write() as connection:
            channel = connection.channel()
            channel._put = lambda queue, message, **_: recorded.append((queue, message))
            producer = self._app.amqp.Producer(channel, auto_declare=False)
            self._of_thread.is_planning = True
            try:
                call(producer=producer, add_to_parent=False, root_id=ROOT, parent_id=PARENT)
            finally:
                self._of_thread.is_planning = False
            if len(recorded) != 1 or recorded[0][0] in (getattr(channel, "_expires", None) or {}):
                return None
            queue, message = recorded[0]
            list_key = channel._q_for_pri(queue, channel._get_message_priority(message, reverse=False))
            return channel.global_keyprefix + list_key, message

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


def _ancestors(parent: Any, options: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the ids of the first task of a call's family and of the one that it comes from; None for none."""
    root_id, parent_id = options.get("root_id"), options.get("parent_id")
    if parent:
        request = parent.request
        root_id, parent_id = root_id or request.root_id or request.id, parent_id or request.id
    return root_id, parent_id


def _place(connection: Any) -> tuple[Any, ...]:
    """Return what decides on which server, and in which lists, a connection's messages are."""
    options = {name: value for name, value in connection.transport_options.items() if name not in TRIED_AGAIN}
    server = connection.transport_cls, connection.hostname, connection.port, connection.virtual_host
    return (*server, connection.userid, connection.password, connection.ssl, options)


def _is_tried_again() -> ContextVar[bool] | None:
    """Return where Celery notes that a node sends what follows a job, which 5.7 tries again in a way of its own."""
    from celery.app import amqp

    return getattr(amqp, "_callback_publish_retry", None)
