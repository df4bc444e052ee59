"""Celery's Redis backends, which store results in steps while jobs follow each other closely."""

from __future__ import annotations

import atexit
import os
from threading import Lock, local
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from celery import states
from celery._state import get_current_task
from celery.backends import redis
from celery.signals import worker_process_shutdown, worker_shutdown
from kombu.utils.encoding import bytes_to_str

from poolrace.results.gatherer import ResultGatherer
from poolrace.results.storing import Result, store

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

NEEDED = "_get_result_meta _get_task_meta_for _set_with_state _store_result encode ensure get_key_for_task"
"""The names of Celery's backend, most of them private, that it relies on."""

CLOSE_S = 0.005
"""
A slot that has stored its last result so long ago stores the next one by itself.

There is little to gain, and a result that waits in the process could wait for long: a job that follows may keep the GIL
in C.
"""

LARGE = 1 << 16
"""A result of more bytes is stored by itself, as Celery does."""

_gatherers: WeakKeyDictionary[Any, dict[Hashable, ResultGatherer]] = WeakKeyDictionary()
_making = Lock()
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

    missing = [name for name in NEEDED.split() if not hasattr(_RedisBackend, name)]
    if missing:
        raise ImportError(
            f"poolrace.results needs Celery 5.4 to 5.7, and {__version__} lacks RedisBackend.{', '.join(missing)}. "
            "Install such a Celery, or leave poolrace.results out: Celery's own backend has the same results."
        )


class _InSteps:
    """Stores a result in one command in place of five, and with others if it may wait a little."""

    def _store_result(
        self: Any,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        text = self._text(task_id, result, state, traceback, request)
        if text is None:
            return super()._store_result(task_id, result, state, traceback, request=request, **kwargs)  # type: ignore[misc]
        expires = getattr(self, "failure_expires", self.expires) if state == states.FAILURE else self.expires
        made = Result(
            task_id=bytes_to_str(task_id),
            key=self.get_key_for_task(task_id),
            text=text,
            state=state,
            expires_s=int(expires or 0),
        )
        is_last = state in states.READY_STATES
        if is_last and _follows_closely() and _may_be_lost(self, task_id, request):
            gatherer_of(self).add(made)
        elif failed := store(self, [made]):
            raise failed[0]
        if is_last:
            _slot.stored_s = monotonic()
        return result

    def _text(self: Any, task_id: str, result: Any, state: str, traceback: Any, request: Any) -> bytes | None:
        """Return a result as Celery writes it; None if Celery is to store it itself."""
        if self.serializer != "json" or getattr(self, "compression", None):
            return None
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        meta["task_id"] = bytes_to_str(task_id)
        encoded = self.encode(meta)
        text: bytes = encoded.encode() if isinstance(encoded, str) else encoded
        return text if len(text) <= LARGE else None

    # Who reads or forgets a result of this process finds it, as he would without steps.

    def get(self, key: Any) -> Any:
        flush_of(self)
        return super().get(key)  # type: ignore[misc]

    def mget(self, keys: Sequence[Any]) -> Any:
        flush_of(self)
        return super().mget(keys)  # type: ignore[misc]

    def delete(self, key: Any) -> Any:
        flush_of(self)
        return super().delete(key)  # type: ignore[misc]


class Backend(_InSteps, _RedisBackend):  # type: ignore[misc]
    """Celery's backend for `redis://`, `rediss://` and sockets, with results in steps."""


class SentinelBackend(_InSteps, _SentinelBackend):  # type: ignore[misc]
    """Celery's backend for `sentinel://`, with results in steps."""


def _place(backend: Any) -> Hashable:
    """Return what tells the servers of an app's backends apart."""
    return type(backend), backend.url, repr(sorted(backend.connparams.items(), key=str))


def gatherer_of(backend: Any) -> ResultGatherer:
    """Return what gathers the results of an app on a server; its threads have a backend each, and share this."""
    places = _gatherers.get(backend.app)
    place = backend.__dict__.get("_poolrace_place") or backend.__dict__.setdefault("_poolrace_place", _place(backend))
    found = places.get(place) if places else None
    if found is None:
        with _making:
            found = _gatherers.setdefault(backend.app, {}).setdefault(place, ResultGatherer(backend))
    return found


def flush_of(backend: Any) -> None:
    """Wait until the results that an app has gathered are stored, or could not be."""
    for gatherer in list((_gatherers.get(backend.app) or {}).values()):
        gatherer.flush()


def flush_all() -> None:
    """Wait until the results of all apps are stored, or could not be."""
    for places in list(_gatherers.values()):
        for gatherer in list(places.values()):
            gatherer.flush()


def _follows_closely() -> bool:
    """Check whether this slot has stored a result a moment ago."""
    return monotonic() - getattr(_slot, "stored_s", -CLOSE_S) < CLOSE_S


def _may_be_lost(backend: Any, task_id: str, request: Any) -> bool:
    """
    Check whether a job may lose its result with its process, and nobody looks at the result before it is stored.

    So it is with the end of the job of this slot, if it is acknowledged early: while it runs, it would be lost, too.
    """
    task = get_current_task()
    return not (
        task is None
        or task.request.id != task_id
        or task.acks_late
        or getattr(task, "retry_on_worker_lost", False)
        or request is None
        or request.is_eager
        or request.chord
        or request.errbacks
        or backend.always_retry
    )


def _after_fork() -> None:
    global _making  # another thread of the parent may have held it
    _making = Lock()
    for places in list(_gatherers.values()):
        for gatherer in list(places.values()):
            gatherer.after_fork()


def _at_end(**_: Any) -> None:
    flush_all()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_end)
worker_shutdown.connect(_at_end, weak=False)
worker_process_shutdown.connect(_at_end, weak=False)  # a child of prefork ends without the functions of atexit
