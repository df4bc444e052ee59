"""
The jobs of drills, as plain functions, and what makes tasks of them.

Each job notes in the ledger of effects that it has begun and that it is done, under an identity that its sender gave
it. Some harm the process that runs them, as jobs in the field do by accident.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextvars import ContextVar
from inspect import signature
from typing import TYPE_CHECKING, Any

from billiard import current_process

from poolrace import effects

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Celery

    Noting = Callable[[str, str, str], None]
    """Notes of a job what is to be noted, and on which node."""

IMPORTED_BY = os.getpid()
MIB = 2**20
kept = ContextVar("kept", default=False)
leaked: list[bytes] = []
_jobs: dict[Callable[..., None], dict[str, Any]] = {}


def job(**options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark what a job does between its two notes, with the options of its task; it takes the task if it has `task`."""

    def marked(work: Callable[..., None]) -> Callable[..., None]:
        _jobs[work] = options
        return work

    return marked


def register(app: Celery, note: Noting) -> None:
    """Add a task for every job to an app; its first argument is the identity of the job."""
    for work, options in _jobs.items():
        task: Any = app.task
        task(bind=True, name=f"drill.{work.__name__}", shared=False, **options)(_noted(work, note))


def _noted(work: Callable[..., None], note: Noting) -> Callable[..., None]:
    takes_task = "task" in signature(work).parameters

    def run(task: Any, identity: str, *arguments: Any) -> None:
        note(identity, effects.BEGUN, task.request.hostname)
        work(*arguments, **({"task": task} if takes_task else {}))
        note(identity, effects.DONE, task.request.hostname)

    return run


@job()
def wait(seconds: float) -> None:
    """Wait, as for an answer from a network."""
    time.sleep(seconds)


@job()
def leave(code: int) -> None:
    """End the process of the slot, as a library does that calls exit."""
    os._exit(code)


@job()
def crash() -> None:
    """Break the process of the slot, as an extension module does that reads memory which is not its own."""
    os.kill(os.getpid(), signal.SIGSEGV)


@job()
def be_killed() -> None:
    """Have the kernel kill the process of the slot, as it does when memory is out."""
    os.kill(os.getpid(), signal.SIGKILL)


@job()
def be_killed_once(*, task: Any) -> None:
    """Have the kernel kill the process of the slot, unless the job has come again."""
    if not (task.request.delivery_info or {}).get("redelivered"):
        os.kill(os.getpid(), signal.SIGKILL)


@job()
def eat(mib: int) -> None:
    """Take more and more memory."""
    eaten = []
    for _ in range(mib):
        eaten.append(b"x" * MIB)
        time.sleep(0.001)


@job()
def leak(mib: int) -> None:
    """Leave memory behind."""
    leaked.append(b"x" * (mib * MIB))
    time.sleep(0.1)


@job()
def ignore_term(seconds: float) -> None:
    """Wait, and take no notice of SIGTERM where a job can decide that: in a process of its own."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(left)


@job()
def count(cpu_s: float) -> None:
    """Count in Python for so many seconds of this thread's CPU time."""
    until, number = time.thread_time() + cpu_s, 0
    while time.thread_time() < until:
        number += 1


@job()
def be_spawned() -> None:
    """Fail unless this is a child that was spawned: one that was forked has this module from its parent."""
    if current_process().name == "MainProcess" or os.getpid() != IMPORTED_BY:
        raise ValueError("this process was not spawned")


@job()
def keep_in_context() -> None:
    """Fail if an earlier job has left something in a context variable, and leave something there."""
    if kept.get():
        raise ValueError("an earlier job's value is there")
    kept.set(True)


@job(soft_time_limit=1)
def heed(seconds: float) -> None:
    """Wait for longer than the soft limit allows."""
    time.sleep(seconds)


@job(soft_time_limit=1, time_limit=2)
def overstay(seconds: float) -> None:
    """Wait for longer than the limits allow, and take no notice of the soft one."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            time.sleep(left)
        except Exception:  # noqa: S112 - as jobs do that catch everything
            continue
