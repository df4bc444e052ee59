"""Sends jobs that are written down before, and has nodes cross them out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from billiard.exceptions import WorkerLostError
from celery import Signature, signals, signature
from celery.utils.log import get_logger
from kombu.exceptions import OperationalError
from kombu.utils.uuid import uuid

from poolrace.outbox.store import OutboxError, open_store

if TYPE_CHECKING:
    from celery import Celery
    from celery.result import AsyncResult

    from poolrace.outbox.store import Store

logger = get_logger(__name__)

MOST_TIMES = 20
"""A job that was sent so often is sent no more: it may end whatever runs it."""


class Outbox:
    """
    Sends jobs of an app, each under an id of its own, and remembers them until a node has settled them.

    Args:
        app: The app.
        where: The path of a SQLite file, or the URL of a Redis server that keeps what it has on its disk.
        most_times: How often a job is sent at most.

    Raises:
        OutboxError: If the store cannot be reached.
    """

    def __init__(self, app: Celery, where: str, *, most_times: int = MOST_TIMES) -> None:
        self._app, self._store, self._most_times = app, open_store(where), most_times

    def send(self, job: Signature, **options: Any) -> AsyncResult[Any]:
        """
        Write a job down and send it.

        If the broker does not take it, that is no error: it is sent again later, as one that was lost.

        Args:
            job: A signature of one task, with arguments that are JSON.
            options: Further options of `apply_async`, which are kept with it.

        Raises:
            OutboxError: If it cannot be written down. It is not sent then.
            TypeError: If it is no single task, or its arguments are not JSON.
        """
        if not isinstance(job, Signature) or job.subtask_type:
            raise TypeError(f"outbox: {type(job).__name__} is no single task; send the task that starts it.")
        task_id = options.pop("task_id", None) or job.options.get("task_id") or uuid()
        kept = job.clone()
        kept.options.update(options, task_id=task_id)
        self._store.add(task_id, dict(kept))
        self._send(task_id, kept)
        return self._app.AsyncResult(task_id)

    def send_again(self, after_s: float = 60.0) -> list[str]:
        """
        Send again what was last sent so long ago, and that no node has settled.

        Args:
            after_s: More than a job waits and runs, so that none is sent again that is on its way, in seconds.

        Returns:
            The ids of the jobs.

        Raises:
            OutboxError: If the store cannot be reached.
        """
        again = []
        for each in self._store.open(time.time() - after_s):
            if each.times >= self._most_times:
                logger.error("outbox: %s was sent %d times, and is sent no more", each.task_id, each.times)
                continue
            self._store.sent(each.task_id)
            self._send(each.task_id, signature(each.signature, app=self._app))
            again.append(each.task_id)
        return again

    def waiting(self) -> int:
        """Return how many jobs no node has settled."""
        return self._store.count()

    def settle(self, task_id: str) -> None:
        """Cross a job out by hand, e.g. one that was sent too often."""
        self._store.settle(task_id)

    def _send(self, task_id: str, job: Signature) -> None:
        try:
            self._app.send_task(str(job.task), job.args, job.kwargs, **job.options)
        except (OperationalError, OSError) as error:
            logger.warning("outbox: the broker did not take %s, which is sent again later: %s", task_id, error)


def settle_on(app: Celery, where: str) -> None:
    """
    Have every node of an app cross jobs out: those that succeeded, and those that failed for good.

    A job whose process died under it is not crossed out, nor is one that is retried. Call it where the app is made.

    Raises:
        OutboxError: If the store cannot be reached.
    """
    store = open_store(where)

    def settle(sender: Any = None, task_id: str = "", **_: Any) -> None:
        if getattr(sender, "app", None) is app:
            _settle(store, task_id or sender.request.id)

    def settle_failed(sender: Any = None, task_id: str = "", exception: Any = None, **_: Any) -> None:
        if not isinstance(exception, WorkerLostError):
            settle(sender, task_id)

    signals.task_success.connect(settle, weak=False)
    signals.task_failure.connect(settle_failed, weak=False)
    signals.task_revoked.connect(lambda sender, request, **_: settle(sender, request.id), weak=False)


def _settle(store: Store, task_id: str) -> None:
    try:
        store.settle(task_id)
    except OutboxError as error:
        logger.warning("outbox: %s is done, and will run again, as it could not be crossed out: %s", task_id, error)
