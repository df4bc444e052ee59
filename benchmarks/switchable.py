"""
The app of `worker.app`, whose stamping can be switched off and on while its node runs.

Two nodes of the same program differ by several percent in speed as long as they run: the layout of their memory is
enough. One node with and without stamping does not have this difference.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from celery import Task, signals
from celery.worker.control import inspect_command

from poolrace import stamping
from worker.app import app as app

if TYPE_CHECKING:
    from celery import Celery

_on = mmap.mmap(-1, 1)
"""One byte that the node's children share."""

_request_classes: dict[str, tuple[Any, Any]] = {}
"""The Request class of each task, without stamping and with it."""


def _set_tracers(task: Any, tracer: Any) -> None:
    task._tracers = tracer, tracer and stamping.traced(tracer, task.app)  # noqa: SLF001 - ours


def _tracer(task: Any) -> Any:
    return task._tracers[_on[0]]  # noqa: SLF001 - ours


Task._tracers = None, None  # type: ignore[attr-defined] # noqa: SLF001 - ours
Task.__trace__ = property(_tracer, _set_tracers)


@signals.worker_init.connect
def _find_request_classes(sender: Any, **_: Any) -> None:
    for name, task in sender.app.tasks.items():
        _request_classes[name] = task.Request.__base__, task.Request


@inspect_command(name="benchmark_stamping", args=[("on", int)])
def switch(state: Any, on: int) -> dict[str, Any]:
    """Switch stamping on or off. No job may run or wait at that time."""
    worker_app: Celery = state.app
    _on[0] = on
    for name, classes in _request_classes.items():
        worker_app.tasks[name].Request = classes[on]
    state.consumer.update_strategies()
    return {"ok": on}
