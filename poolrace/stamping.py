"""
Stamps jobs and has the records shipped. Attaches to any Celery app from outside; no task is changed.

Where each instant is taken:

- due and sent: by the publisher, in the message header;
- received: by the node's main process, in the Request class, when the broker's message becomes a request;
- started and finished: in the slot, by the signals around the task, with the thread's CPU time;
- the end of a job whose slot cannot tell (its child died, its hard time limit passed, it was revoked): by the node's
  main process, in the Request class or by a signal.
"""

from __future__ import annotations

import math
import os
import platform
import sys
import threading
import time
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from celery import signals
from celery.exceptions import Terminated
from celery.utils.imports import symbol_by_name
from celery.worker.control import inspect_command

from poolrace import __version__
from poolrace.contract import (
    GOODBYE_COMMAND,
    HEADER,
    HELLO_COMMAND,
    HOLD_TASK,
    RECEIVED,
    SAMPLE_COMMAND,
    Outcome,
    WireError,
    pack_end,
    pack_stamp,
)
from poolrace.limits import cgroup_limits
from poolrace.pools import inert_settings
from poolrace.shipping import Shipper

if TYPE_CHECKING:
    from celery import Celery

_ENDS = {
    "SUCCESS": Outcome.SUCCEEDED,
    "FAILURE": Outcome.FAILED,
    "RETRY": Outcome.RETRIED,
    "IGNORED": Outcome.IGNORED,
    "REJECTED": Outcome.REJECTED,
}
_POOL_NAMES = {"thread": "threads"}
_is_gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)

_shipper: Shipper | None = None
_node_pid: int | None = None
_running: dict[tuple[int, str], tuple[dict[str, Any], float, float]] = {}
"""Stamped jobs by thread and task id: the fields of the request, when it started, and the thread's CPU time then."""


def attach(app: Celery) -> None:
    """
    Make every node of an app stamp the jobs that carry a `Stamp`, and leave all other jobs alone.

    Call it once, where the app is made or in the module given to `celery -A`, before the worker starts.
    """
    app.task(name=HOLD_TASK, ignore_result=True, shared=False)(_hold)
    signals.worker_init.connect(_on_worker_init, weak=False)
    signals.worker_ready.connect(_on_worker_ready, weak=False)
    signals.worker_shutdown.connect(_on_shutdown, weak=False)
    signals.worker_process_shutdown.connect(_on_shutdown, weak=False)
    signals.task_prerun.connect(_on_prerun, weak=False)
    signals.task_postrun.connect(_on_postrun, weak=False)
    signals.task_revoked.connect(_on_revoked, weak=False)


def _hold(hold_s: float) -> None:
    time.sleep(hold_s)


def _on_worker_init(sender: Any, **_: Any) -> None:
    global _shipper, _node_pid
    _shipper, _node_pid = Shipper(sender.app, node=sender.hostname), os.getpid()
    for task in sender.app.tasks.values():
        task.Request = stamped(symbol_by_name(task.Request))


def _on_worker_ready(sender: Any, **_: Any) -> None:
    if _shipper is not None:
        _shipper.pool = pool_name(sender.controller.pool_cls)
        _shipper.start()


def _on_shutdown(**_: Any) -> None:
    if _shipper is not None and _shipper.pid == os.getpid():
        _shipper.stop()


def pool_name(pool_cls: type) -> str:
    """The name of a pool as `celery worker -P` takes it, from its class."""
    module = pool_cls.__module__.rpartition(".")[2]
    return _POOL_NAMES.get(module, module)


def _on_prerun(task_id: str, task: Any, **_: Any) -> None:
    request = vars(task.request)
    if HEADER in request:
        _running[threading.get_ident(), task_id] = request, time.time(), time.thread_time()


def _on_postrun(task_id: str, task: Any, state: str | None, retval: Any, **_: Any) -> None:
    finished_at, cpu_s = time.time(), time.thread_time()
    begun = _running.pop((threading.get_ident(), task_id), None)
    if begun is None:
        return
    request, started_at, cpu_before_s = begun
    if state is None and os.getpid() != _node_pid:
        return  # SystemExit: this child is being ended, and the main process tells of what it ran
    outcome = _ENDS.get(state or "", Outcome.FAILED)
    error = sys.exc_info()[1] if state is None else retval
    end = pack_end(
        received_at=request.get(RECEIVED) or math.nan,
        started_at=started_at,
        finished_at=finished_at,
        cpu_s=cpu_s - cpu_before_s,
        pid=os.getpid(),
        thread_id=threading.get_native_id(),
        attempt=(request.get("retries") or 0) + 1,
        redelivered=_redelivered(request.get("delivery_info")),
        gil=_is_gil_enabled(),
        outcome=outcome,
        exception=type(error).__name__ if outcome is Outcome.FAILED else "",
    )
    _emit(request[HEADER], end, node=request["hostname"], app=task.app)


def _on_revoked(sender: Any, request: Any, **_: Any) -> None:
    header = request.get(HEADER)
    if header is not None:
        end = pack_end(
            received_at=request.get(RECEIVED) or math.nan,
            pid=os.getpid(),
            attempt=request.retries + 1,
            gil=_is_gil_enabled(),
            outcome=Outcome.REVOKED,
        )
        _emit(header, end, node=request.hostname, app=sender.app)


def _emit(header: Any, end: bytes, *, node: str, app: Celery) -> None:
    global _shipper
    try:
        stamp = pack_stamp(header)
    except WireError:
        return  # somebody else's header of the same name
    if _shipper is None:
        # A child that was spawned, not forked, inherits no pipe: it ships for itself. Only prefork has children.
        _shipper = Shipper(app, node=node, pool="prefork")
        _shipper.start()
    _shipper.put(stamp + end)


def _redelivered(delivery_info: Any) -> bool:
    return bool(delivery_info and delivery_info.get("redelivered"))


def stamped(base: type) -> type:
    """A Request class like the given one, that notes when its message arrived and reports an end its slot cannot."""

    class StampedRequest(base):  # type: ignore[misc] # the base is the user's, known only at run time
        def __init__(self, message: Any, **options: Any) -> None:
            received_at = time.time()
            super().__init__(message, **options)
            if HEADER in self._request_dict:
                self._request_dict[RECEIVED] = received_at

        def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
            # return_ok says that the slot came back with the failure, and so recorded it. What was revoked has its
            # record from the signal, and what was cancelled will come again.
            if not (return_ok or self._already_revoked or self._already_cancelled):
                _report_lost_slot(self, exc_info)
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    return StampedRequest


def _report_lost_slot(request: Any, exc_info: Any) -> None:
    fields = request._request_dict  # noqa: SLF001 - the dictionary that Celery hands to the slot
    error = getattr(exc_info.exception, "exc", exc_info.exception)
    # A terminated job is revoked next, and recorded as such.
    if HEADER in fields and not isinstance(error, Terminated):
        end = pack_end(
            received_at=fields[RECEIVED],
            started_at=request.time_start or math.nan,
            finished_at=time.time(),
            pid=request.worker_pid or os.getpid(),
            attempt=fields.get("retries", 0) + 1,
            redelivered=_redelivered(request.delivery_info),
            gil=_is_gil_enabled(),
            outcome=Outcome.FAILED,
            exception=type(error).__name__,
        )
        _emit(fields[HEADER], end, node=request.hostname, app=request.app)


@inspect_command(name=HELLO_COMMAND, args=[("run_id", str)], signature="<run_id>")
def hello(state: Any, run_id: str) -> dict[str, Any]:
    """Who this node is and what it runs on; from now on it sends samples to the run."""
    worker = state.consumer.controller
    if _shipper is not None:
        _shipper.watch(run_id)
    pool = pool_name(worker.pool_cls)
    conf = worker.app.conf
    return {
        "node": state.hostname,
        "pool": pool,
        "concurrency": worker.concurrency,
        "pid": os.getpid(),
        "queues": sorted(worker.app.amqp.queues.consume_from),
        "prefetch_multiplier": conf.worker_prefetch_multiplier,
        "acks": "late" if conf.task_acks_late else "early",
        "python": platform.python_version(),
        "gil": _is_gil_enabled(),
        "poolrace": __version__,
        "celery": version("celery"),
        "kombu": version("kombu"),
        "limits": asdict(cgroup_limits()),
        "inert_settings": [warning.consequence for warning in inert_settings(pool, conf)],
    }


@inspect_command(name=GOODBYE_COMMAND, args=[("run_id", str)], signature="<run_id>")
def goodbye(state: Any, run_id: str) -> dict[str, Any]:  # noqa: ARG001 - Celery passes it
    """Send no more samples to a run."""
    if _shipper is not None:
        _shipper.forget(run_id)
    return {"ok": run_id}


@inspect_command(name=SAMPLE_COMMAND)
def sample(state: Any) -> dict[str, Any]:  # noqa: ARG001 - Celery passes it
    """CPU and context switches of the node's process tree, now; not its memory, which takes long to read."""
    if _shipper is None:
        return {"error": "stamping is not attached to this node's app"}
    return _shipper.sample().to_dict()
