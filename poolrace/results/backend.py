"""Celery's Redis backends, which store results in steps while jobs follow each other closely."""

from __future__ import annotations

import atexit
import os
from threading import local
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from celery import states
from celery.backends import redis
from celery.signals import worker_process_shutdown
from kombu.utils.encoding import bytes_to_str

from poolrace.results.gatherer import Result, ResultGatherer

if TYPE_CHECKING:
    from collections.abc import Mapping

NEEDED = "_get_result_meta _store_result connection_errors encode ensure get_key_for_task"
"""The names of Celery's backend, most of them private, that it relies on."""

CLOSE_S = 0.005
"""
A slot that has stored its last result so long ago waits for the next one.

There is nothing to gain, and a result that waits in the process could wait for long: a job that follows may keep the
GIL in C.
"""

LARGE = 1 << 16
"""A result of more characters is stored by itself, as Celery does."""

_gatherers: WeakKeyDictionary[Any, ResultGatherer] = WeakKeyDictionary()
_slot = local()

_RedisBackend: Any = redis.RedisBackend
_SentinelBackend: Any = redis.SentinelBackend


def check_celery() -> None:
    """
    Check that this Celery has every name that is relied on.

    Raises:
        ImportError: If it lacks one.
    """
    from celery import __version__

    # connection_errors is set where one is made
    missing = [name for name in NEEDED.split() if name != "connection_errors" and not hasattr(_RedisBackend, name)]
    if missing:
        raise ImportError(
            f"poolrace.results needs Celery 5.4 to 5.7, and {__version__} lacks RedisBackend.{', '.join(missing)}. "
            "Install such a Celery, or leave poolrace.results out: Celery's own backend has the same results."
        )


class _InSteps:
    """Stores a result in a step, in place of four commands and two round trips."""

    app: Any
    expires: int | None

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        text = self._text(task_id, result, state, traceback, request)
        gatherer = gatherer_of(self.app)
        if text is None:
            gatherer.flush()
            return super()._store_result(task_id, result, state, traceback, request=request, **kwargs)  # type: ignore[misc]
        expires = getattr(self, "failure_expires", self.expires) if state == states.FAILURE else self.expires
        gatherer.add(
            Result(
                key=self.get_key_for_task(task_id),  # type: ignore[attr-defined]
                text=text,
                expires_s=int(expires or 0),
                task_id=bytes_to_str(task_id),
                is_waited_for=not (_follows_closely() and _may_be_lost(self.app, state, request)),
            ),
            self,
        )
        return result

    def _text(self, task_id: str, result: Any, state: str, traceback: Any, request: Any) -> str | None:
        """Return a result as Celery writes it; None if Celery is to store it itself."""
        if self.serializer != "json" or getattr(self, "compression", None):  # type: ignore[attr-defined]
            return None
        meta: dict[str, Any] = self._get_result_meta(  # type: ignore[attr-defined]
            result=result, state=state, traceback=traceback, request=request
        )
        meta["task_id"] = bytes_to_str(task_id)
        text = self.encode(meta)  # type: ignore[attr-defined]
        return text if isinstance(text, str) and len(text) <= LARGE else None


class Backend(_InSteps, _RedisBackend):  # type: ignore[misc]
    """Celery's backend for `redis://`, `rediss://` and sockets, with results in steps."""


class SentinelBackend(_InSteps, _SentinelBackend):  # type: ignore[misc]
    """Celery's backend for `sentinel://`, with results in steps."""


def gatherer_of(app: Any) -> ResultGatherer:
    """Return what gathers the results of an app; its threads have a backend each, and share this."""
    found = _gatherers.get(app)
    return _gatherers.setdefault(app, ResultGatherer()) if found is None else found


def flush_all() -> None:
    """Wait until the results of all apps are stored, or could not be."""
    for gatherer in list(_gatherers.values()):
        gatherer.flush()


def _follows_closely() -> bool:
    """Check whether this slot has stored a result a moment ago."""
    now_s = monotonic()
    before_s, _slot.stored_s = getattr(_slot, "stored_s", -CLOSE_S), now_s
    return now_s - before_s < CLOSE_S


def _may_be_lost(app: Any, state: str, request: Any) -> bool:
    """Check whether a job may lose its result with its process: it would be lost itself, had it been running then."""
    task = app.tasks.get(getattr(request, "task", None)) if request is not None else None
    return task is not None and state in states.READY_STATES and not task.acks_late


def _after_fork() -> None:
    for gatherer in list(_gatherers.values()):
        gatherer.after_fork()


def _at_exit(**_: Mapping[str, Any]) -> None:
    flush_all()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
worker_process_shutdown.connect(_at_exit, weak=False)  # a child of prefork ends without the functions of atexit
