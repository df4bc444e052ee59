"""
Makes a user's jobs into the messages that the app itself would send, by its own `apply_async`.

So its publish signals, base classes, routes, compression and options are in them, and links and chains, too. Nothing is
sent: the producer that the app is given keeps what it gets.
"""

from __future__ import annotations

import base64
import difflib
import inspect
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kombu import Connection, Producer

from poolrace.ownapp.redirect import OwnAppError
from poolrace.ownapp.routing import DESTINATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from celery import Celery
    from celery.canvas import Signature

MAX_SUGGESTIONS = 3

DEFAULT_STRATEGY = "celery.worker.strategy:default"
"""What makes a request of each message, unless a task's class says otherwise, as celery-batches does."""

SEVERAL = frozenset({"celery.group", "celery.chord", "celery.map", "celery.starmap", "celery.chunks"})
"""Signatures that are not one job, or are a job of Celery's own."""


OPTIONS = ("priority", "expires", "time_limit", "soft_time_limit")
FOLLOWING = ("link", "link_error", "chain")
"""Keys of a job file that are options of a task, and those that are jobs which follow it."""


class KeepingProducer(Producer):
    """
    A producer that keeps messages as they would go over the wire, and sends none.

    Attributes:
        kept: Body, priority, content type, content encoding and headers of each message, and its other properties.
    """

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        super().__init__(Connection("memory://"), auto_declare=False)

    def _publish(self, body: Any, priority: Any, content_type: Any, *others: Any, **_: Any) -> None:
        content_encoding, headers, properties, *_rest = others
        self.kept.append(
            {
                "body": body,
                "priority": priority,
                "content_type": content_type,
                "content_encoding": content_encoding,
                "headers": headers,
                "properties": properties,
            }
        )


class MessageMaker:
    """Makes the jobs of an app into messages; from then on, the app in this process sends nothing."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._producer = KeepingProducer()
        self._app.producer_or_acquire = lambda _producer=None: nullcontext(self._producer)
        with suppress(Exception):  # a backend that cannot be made cannot be asked to wait for a result either
            self._app.backend.on_task_call = lambda *_, **__: {}

    def message(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return a job as it goes over the wire, without the parts that differ between jobs of one kind.

        Args:
            job: A line of a job file, or a `signature` that a factory made, with its place as `line`.

        Raises:
            OwnAppError: If it cannot be sent, or is no single job that can be run at once.
        """
        where = job["line"]
        signature = job.get("signature") or self._signature(job)
        first = _first(signature, where)
        check_names(self._app, [first.task], where)
        task = self._app.tasks[first.task]
        _check_kind(task, where)
        _check_options(signature, where)
        kept = self._kept(signature, task, where)
        raw = kept["body"].encode() if isinstance(kept["body"], str) else kept["body"]
        headers, expires_s = _without_expiry(kept["headers"])
        return {
            "task": task.name,
            "line": where,
            "weight": job.get("weight", 1.0),
            "at": job.get("at"),
            "queue": self._own_queue(task, first, job),
            "body": base64.b64encode(raw).decode(),
            "text": isinstance(kept["body"], str),
            "content_type": kept["content_type"],
            "content_encoding": kept["content_encoding"],
            "headers": {**headers, **(job.get("headers") or {})},
            "reply_to": kept["properties"].get("reply_to") or "",
            "priority": kept["priority"],
            "expires_s": expires_s,
            "results_by_task": headers.get("ignore_result") == task.ignore_result,
        }

    def _signature(self, job: Mapping[str, Any]) -> Signature:
        where, following = job["line"], {name: job.get(name) or () for name in FOLLOWING}
        check_names(self._app, [job["task"], *(each["task"] for jobs in following.values() for each in jobs)], where)
        args, kwargs = tuple(job.get("args") or ()), dict(job.get("kwargs") or {})
        options = {name: job[name] for name in OPTIONS if job.get(name) is not None}
        followed = {
            name: [self._app.signature(_whole(each)) for each in jobs] for name, jobs in following.items() if jobs
        }
        found: Signature = self._app.tasks[job["task"]].signature(args, kwargs, **options, **followed)
        return found

    def _kept(self, signature: Any, task: Any, where: str) -> dict[str, Any]:
        self._producer.kept.clear()
        signature = signature.clone()
        signature._app = self._app  # noqa: SLF001 - a signature finds its app by what is current, which may be another
        try:
            signature.apply_async()
        except Exception as error:
            text = f"{task.name}{tuple(_first(signature, where).args)!r:.80}"
            raise OwnAppError(f"{where}: {text} cannot be sent: {type(error).__name__}: {error}") from error
        if len(self._producer.kept) != 1:
            raise OwnAppError(
                f"{where}: {task.name} sends {len(self._producer.kept)} messages for one job. Give jobs that are one "
                "message each: a task, or a chain."
            )
        return self._producer.kept.pop()

    def _own_queue(self, task: Any, signature: Any, job: Mapping[str, Any]) -> str:
        """Return the app's queue that a job goes to: its line's, its signature's, or else that of the app's routes."""
        options = {key: signature.options.get(key) or getattr(task, key, None) for key in DESTINATION}
        if job.get("queue"):
            options = {"queue": job["queue"]}
        router: Any = self._app.amqp.router
        return str(router.own_queue(options, task.name, signature.args, signature.kwargs, task))


def _whole(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job that follows another as Celery has it in a message."""
    return {"args": (), "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False, **job}


def check_names(app: Celery, names: Iterable[str], where: str = "--task") -> None:
    """
    Check that an app has tasks of these names.

    Raises:
        OwnAppError: If it lacks one; with those that are like it.
    """
    for name in names:
        if name not in app.tasks:
            own = [task for task in app.tasks if not task.startswith(("celery.", "poolrace."))]
            near = difflib.get_close_matches(name, own, n=MAX_SUGGESTIONS, cutoff=0.3)
            hint = f"Near it: {', '.join(near)}." if near else f"It has {', '.join(sorted(own)) or 'none'}."
            raise OwnAppError(f"{where} {name}: the app registers no such task. {hint}")


def _first(signature: Any, where: str) -> Any:
    """Return the signature whose message is sent first: of a chain, its first task."""
    if signature.task in SEVERAL:
        raise OwnAppError(
            f"{where}: a {signature.task.removeprefix('celery.')} is several jobs. Give a task or a chain, or a task "
            "that starts them; the jobs that a task starts are counted under it."
        )
    return _first(signature.tasks[0], where) if signature.task == "celery.chain" else signature


def _check_kind(task: Any, where: str) -> None:
    """Check that the end of a task's job is the end of its work, and that a record can be made of it."""
    if inspect.iscoroutinefunction(task.run):
        raise OwnAppError(
            f"{where}: {task.name} is an async function, which Celery does not await: its job would end before it "
            "began. Make it a function that calls asyncio.run, or leave it out (--task)."
        )
    if str(task.Strategy) != DEFAULT_STRATEGY:
        raise OwnAppError(
            f"{where}: {task.name} takes jobs by a strategy of its own ({task.Strategy}), e.g. many at once, which "
            "leaves no record of a single job. Leave it out (--task)."
        )


def _check_options(signature: Any, where: str) -> None:
    if late := [name for name in ("countdown", "eta") if signature.options.get(name)]:
        raise OwnAppError(
            f"{where}: {signature.task} is to run later ({late[0]}); a run sends each job when it is due. Leave it out."
        )


def _without_expiry(headers: Mapping[str, Any]) -> tuple[dict[str, Any], float | None]:
    """Return headers without the instant at which a job expires, and the time that this is from now, in seconds."""
    expires = headers.get("expires")
    if not expires:
        return dict(headers), None
    at = datetime.fromisoformat(expires)
    left = at - (datetime.now(at.tzinfo) if at.tzinfo else datetime.now(UTC).replace(tzinfo=None))
    return {**headers, "expires": None}, round(left.total_seconds(), 3)
