"""
The jobs of drills, and the Celery app whose nodes run them: `celery -A worker.drill worker`.

Each job notes in the ledger of effects that it has begun and that it is done, under an identity that its sender gave
it. Some harm the process that runs them, as jobs in the field do by accident.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from billiard import current_process
from celery import Celery

from poolrace import drilling, effects, stamping
from worker import settings

if TYPE_CHECKING:
    from collections.abc import Callable

IMPORTED_BY = os.getpid()
MIB = 2**20
kept = ContextVar("kept", default=False)
leaked: list[bytes] = []

_ledger = os.environ.get(effects.VARIABLE, "")

app = Celery("drill")
app.conf.update(settings.celery_config(settings.load(os.environ)))
app.conf.imports = ("worker.drill",)
drilling.apply(app, os.environ)
drilling.note_failures(app, _ledger)
stamping.attach(app)


def job(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """Make a task of what a job does between its two notes; its first argument is the identity of the job."""

    def task_of(work: Callable[..., None]) -> Any:
        def run(task: Any, identity: str, *arguments: Any) -> None:
            effects.note(_ledger, identity, effects.BEGUN, task.request.hostname)
            work(*arguments)
            effects.note(_ledger, identity, effects.DONE, task.request.hostname)

        task: Any = app.task
        return task(bind=True, name=f"drill.{work.__name__}", shared=False, **options)(run)

    return task_of


@job()
def wait(seconds: float) -> None:
    """Wait, as for an answer from a network."""
    time.sleep(seconds)


@app.task(name="drill.rest", shared=False)
def rest(_identity: str, seconds: float) -> None:
    """Wait as `wait` does, and note nothing: what a note costs is measured against it."""
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
