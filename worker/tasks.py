"""Celery tasks over the workloads, one each, named `worker.<workload>`."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, NoReturn

from worker.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Celery

    from worker.settings import Settings
    from worker.workload import Workload

FAIL = "worker.fail"
"""The task that always fails. It is no workload, so no race offers it; it shows how failures are reported."""


def register(app: Celery, settings: Settings) -> None:
    """Add a task for every workload, and `worker.fail`, to an app."""
    for workload in WORKLOADS.values():
        add_task(app, task_name(workload.name), job_of(workload, settings))
    add_task(app, FAIL, fail)


def task_name(workload: str) -> str:
    """Return the name of a workload's task."""
    return f"worker.{workload}"


def add_task(app: Celery, name: str, function: Callable[..., object]) -> None:
    """Make a function a task of this app alone; Celery would share it with every app of the process."""
    app.task(name=name, shared=False)(function)


def job_of(workload: Workload, settings: Settings) -> Callable[..., object]:
    """Return a workload's function with the settings that it needs filled in, so that it takes only the amounts."""
    needed = {name: getattr(settings, name) for name in workload.needs}

    @wraps(workload.function)
    def job(*amounts: int, payload: str = "") -> object:  # noqa: ARG001 - makes the message longer, nothing else
        return workload.function(*amounts, **needed)

    return job


def fail(message: str = "this task always fails") -> NoReturn:
    """
    Fail, to show how failures are reported.

    Raises:
        ValueError: Always, with the message.
    """
    raise ValueError(message)
