"""
Stamps jobs and has the records shipped. Attaches to any Celery app from outside; no task is changed.

Where each instant is taken:

- due and sent: by the publisher, in the message header;
- received: by the node's main process, in the Request class, when the broker's message becomes a request;
- started and finished: in the slot, around the function with which Celery traces a task, with the thread's CPU time.
  Signals around the task would give nearly the same, and cost more than all the rest;
- the end of a job whose slot cannot report it (its child died, its hard time limit passed, it was revoked): by the
  node's main process, in the Request class or by a signal.
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
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celery import Task, shared_task, signals
from celery.backends.base import DisabledBackend
from celery.exceptions import Terminated
from celery.utils.imports import symbol_by_name
from celery.worker.control import inspect_command

from poolrace import __version__, effects_queue
from poolrace.cgroup import cgroup_limits, cgroup_throttling
from poolrace.contract import (
    CHILD_HEADER,
    FLAG_CHILD,
    FLAG_GIL,
    FLAG_REDELIVERED,
    GOODBYE_COMMAND,
    HEADER,
    HELLO_COMMAND,
    HOLD_TASK,
    MACHINE,
    RECEIVED,
    SAMPLE_COMMAND,
    STARTED,
    THROTTLING,
    Outcome,
)
from poolrace.machine_use import machine_use
from poolrace.pools import FORKING, POOLS, has_thread_of_its_own, inert_settings, pool_of_module
from poolrace.records_sender import RecordsSender
from poolrace.shipping import SAMPLE_EVERY_S, Shipper
from poolrace.transport_setting import STOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from celery import Celery

    from poolrace.contract import End

NESTING = "replaced_task_nesting"
"""Celery's header that counts how often a job was replaced by another task: `self.replace`."""

HANDED_ON = "poolrace_handed_on"
"""
In a job's request, how its delivery ended that `self.replace` ended: to be tried again as another task, under the same
id; or well, as far as it went, with a chain, group or chord in its place, whose jobs are its children.
"""

_ENDS = {
    "FAILURE": Outcome.FAILED,
    "RETRY": Outcome.RETRIED,
    "IGNORED": Outcome.IGNORED,
    "REJECTED": Outcome.REJECTED,
}
_is_gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)

IN_SPAWNED = "poolrace.spawned"
"""The module that attaches this one in a child that was spawned."""

_at_work = threading.local()
"""The stamped job that this thread runs, so that jobs that it sends are known as its children."""

_life = uuid4().hex
"""Tells one start of a node from the next: in containers all of them have the same process id."""

_shipper: Shipper | None = None
_node_pid: int | None = None
_cpu_clock: Callable[[], float] = time.thread_time
"""The CPU time of this thread's job, in seconds since a fixed instant; NaN where other jobs share the thread."""


def attach(app: Celery) -> None:
    """
    Make every node of an app stamp the jobs that carry a `Stamp`, and leave all other jobs alone.

    Call it once, where the app is made or in the module given to `celery -A`, before the worker starts.
    """
    app.task(name=HOLD_TASK, ignore_result=True, shared=False)(_hold)
    effects_queue.register(app)
    _trace_all_tasks()
    signals.worker_init.connect(_on_worker_init, weak=False)
    signals.worker_ready.connect(_on_worker_ready, weak=False)
    signals.worker_shutdown.connect(_on_shutdown, weak=False)
    signals.worker_process_shutdown.connect(_on_shutdown, weak=False)
    signals.task_revoked.connect(_on_revoked, weak=False)
    signals.before_task_publish.connect(_on_publish, weak=False)


def attach_to_child() -> None:
    """
    Stamp jobs in a child that was spawned, as `attach` does in one that was forked.

    Call it while Celery imports the child's modules: tasks that are made then are those of the app that it rebuilds.
    """
    shared_task(name=HOLD_TASK, ignore_result=True)(_hold)
    effects_queue.register_in_child()
    _trace_all_tasks()
    signals.worker_process_shutdown.connect(_on_shutdown, weak=False)
    signals.before_task_publish.connect(_on_publish, weak=False)


def import_in_spawned(app: Celery, module: str) -> None:
    """Have Celery import a module in each child that it spawns from now on. In all others nothing changes."""
    imported = [app.conf.imports] if isinstance(app.conf.imports, str) else [*(app.conf.imports or ())]
    if module not in imported:
        app.conf.imports = [*imported, module]


def _hold(hold_s: float) -> None:
    time.sleep(hold_s)


def _on_worker_init(sender: Any, **_: Any) -> None:
    global _shipper, _node_pid
    _shipper, _node_pid = Shipper(RecordsSender(sender.app), node=sender.hostname), os.getpid()
    import_in_spawned(sender.app, IN_SPAWNED)
    for task in sender.app.tasks.values():
        task.Request = stamped(symbol_by_name(task.Request))


def _on_worker_ready(sender: Any, **_: Any) -> None:
    global _cpu_clock
    if _shipper is not None:
        _shipper.pool = pool_name(sender.controller.pool_cls)
        _shipper.start()
        if not has_thread_of_its_own(_shipper.pool):
            _cpu_clock = lambda: math.nan  # noqa: E731 - a clock, as the other one


def _on_shutdown(**_: Any) -> None:
    if _shipper is not None and _shipper.pid == os.getpid():
        _shipper.stop()


def pool_name(pool_cls: type) -> str:
    """Return the name of a pool as `celery worker -P` takes it, from its class."""
    return pool_of_module(pool_cls.__module__)


def _trace_all_tasks() -> None:
    # Celery gives every task its tracer in several places, again after each lost connection and in each child. This
    # covers all of them: every tracer that is set comes back stamped.
    Task.__trace__ = property(attrgetter("_poolrace_trace"), _set_tracer)
    Task._poolrace_trace = None  # type: ignore[attr-defined] # noqa: SLF001 - Poolrace's own


def _set_tracer(task: Any, tracer: Any) -> None:
    task._poolrace_trace = tracer and traced(tracer, task.app)  # noqa: SLF001 - Poolrace's own


def traced(tracer: Any, app: Celery) -> Any:
    """Wrap a tracer of `celery.app.trace.build_tracer` so that it leaves a record of each stamped job."""

    def trace(task_id: str, args: Any, kwargs: Any, request: Any = None) -> Any:
        if not request or not (HEADER in request or CHILD_HEADER in request):
            return tracer(task_id, args, kwargs, request)
        # A task may call another one in its own slot; the jobs that this one sends are its children then.
        outer = getattr(_at_work, "job", None)
        _at_work.job = request
        started_at, cpu_before_s = time.time(), _cpu_clock()
        try:
            result = tracer(task_id, args, kwargs, request)
        except BaseException as error:
            # SystemExit in a child: it is being ended, and the main process reports the job that it ran.
            if os.getpid() == _node_pid:
                _record_end(app, request, started_at, cpu_before_s, Outcome.FAILED, type(error).__name__)
            raise
        finally:
            _at_work.job = outer
        info = result[1]  # of a job that did not succeed: its state and its exception
        if info is None:
            _record_end(app, request, started_at, cpu_before_s, Outcome.SUCCEEDED, "")
        else:
            outcome = _ENDS.get(info.state, Outcome.FAILED)
            if outcome is Outcome.IGNORED:
                outcome = request.get(HANDED_ON, outcome)
            exception = type(info.retval).__name__ if outcome is Outcome.FAILED else ""
            _record_end(app, request, started_at, cpu_before_s, outcome, exception)
        return result

    return trace


def _record_end(
    app: Celery, request: dict[str, Any], started_at: float, cpu_before_s: float, outcome: Outcome, exception: str
) -> None:
    end = (
        request.get(RECEIVED) or math.nan,
        started_at,
        time.time(),
        _cpu_clock() - cpu_before_s,
        os.getpid(),
        threading.get_native_id(),
        (request.get("retries") or 0) + 1,
        _flags(request),
        outcome,
        request.get(STARTED) or 0,
        exception,
    )
    _ship(_header(request), end, node=request["hostname"], app=app)


def _header(request: Any) -> Any:
    """Return the stamp of a job, or that of the job that started it; None for any other job."""
    return request.get(HEADER) or request.get(CHILD_HEADER)


def _on_publish(headers: Any = None, **_: Any) -> None:
    """Pass a stamp on to a job that a stamped job sends, as its child; a retry of its own keeps its stamp."""
    job = getattr(_at_work, "job", None)
    if job is None or not headers:
        return
    replaces = (headers.get(NESTING) or 0) > (job.get(NESTING) or 0)
    if headers.get("id") == job.get("id"):
        if replaces:
            # The job goes on as another task, under its own id: what it is known by goes with it.
            name = HEADER if HEADER in job else CHILD_HEADER
            headers.setdefault(name, job[name])
            job[HANDED_ON] = Outcome.RETRIED
        return
    if replaces:
        job.setdefault(HANDED_ON, Outcome.SUCCEEDED)
    run_id, trial, seq, due_at, _sent_at = _header(job)
    headers[CHILD_HEADER] = [run_id, trial, seq, due_at, time.time()]
    job[STARTED] = (job.get(STARTED) or 0) + 1


def _on_revoked(sender: Any, request: Any, **_: Any) -> None:
    header = _header(request)
    if header is not None:
        end = (
            request.get(RECEIVED) or math.nan,
            math.nan,
            math.nan,
            math.nan,
            os.getpid(),
            0,
            request.retries + 1,
            FLAG_CHILD * (request.get(HEADER) is None),
            Outcome.REVOKED,
            0,
            "",
        )
        _ship(header, end, node=request.hostname, app=sender.app)


def _ship(header: Any, end: End, *, node: str, app: Celery) -> None:
    global _shipper
    if _shipper is None:
        # A child that was spawned, not forked, inherits no pipe: it ships for itself.
        _shipper = Shipper(RecordsSender(app), node=node, pool=FORKING)
        _shipper.start()
    _shipper.put(header, end)


def _flags(request: Any) -> int:
    delivery_info = request.get("delivery_info")
    redelivered = delivery_info and delivery_info.get("redelivered")
    return (
        (FLAG_REDELIVERED if redelivered else 0)
        | (FLAG_GIL if _is_gil_enabled() else 0)
        | (0 if HEADER in request else FLAG_CHILD)
    )


def stamped(base: type) -> type:
    """Derive a Request class that notes when its message arrived and reports an end that its slot cannot."""

    class StampedRequest(base):  # type: ignore[misc] # the base is the user's, known only at run time
        def __init__(self, message: Any, **options: Any) -> None:
            received_at = time.time()
            super().__init__(message, **options)
            if HEADER in self._request_dict or CHILD_HEADER in self._request_dict:
                self._request_dict[RECEIVED] = received_at

        def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
            # return_ok means that the slot came back with the failure, and so recorded it. A revoked job has its record
            # from the signal, and a cancelled one will come again.
            if not (return_ok or self._already_revoked or self._already_cancelled):
                _report_lost_slot(self, exc_info)
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    return StampedRequest


def _report_lost_slot(request: Any, exc_info: Any) -> None:
    fields = request._request_dict  # noqa: SLF001 - the dictionary that Celery hands to the slot
    error = getattr(exc_info.exception, "exc", exc_info.exception)
    # A terminated job is revoked next, and recorded as such.
    header = _header(fields)
    if header is not None and not isinstance(error, Terminated):
        end = (
            fields[RECEIVED],
            request.time_start or math.nan,
            time.time(),
            math.nan,
            request.worker_pid or os.getpid(),
            0,
            fields.get("retries", 0) + 1,
            _flags(fields),
            Outcome.FAILED,
            0,
            type(error).__name__,
        )
        _ship(header, end, node=request.hostname, app=request.app)


def _most_at_once(worker: Any, pool: str) -> int:
    """Return the jobs that a node runs at once, whatever the concurrency that it was given."""
    if pool in POOLS and POOLS[pool].has_one_slot:
        return 1
    return int(worker.autoscale[0] if worker.autoscale else worker.concurrency)


AS_EACH_TASK = "own"
"""How tasks acknowledge that do not all do it alike."""

NOT_OWN = ("celery.", "poolrace.")
"""What the names of tasks begin with that Celery and Poolrace have added to an app."""


def acks_of(tasks: Iterable[Any]) -> str:
    """Return how tasks acknowledge, which an attribute of each may say: `early`, `late`, or `own` if they differ."""
    late = {bool(task.acks_late) for task in tasks}
    if len(late) > 1:
        return AS_EACH_TASK
    return "late" if late == {True} else "early"


@inspect_command(name=HELLO_COMMAND, args=[("run_id", str), ("every_s", float)], signature="<run_id> [every_s]")
def hello(state: Any, run_id: str, every_s: float = SAMPLE_EVERY_S) -> dict[str, Any]:
    """Describe this node; from now on it sends samples to the run, `every_s` seconds apart."""
    worker = state.consumer.controller
    if _shipper is not None:
        _shipper.watch(run_id, every_s)
    pool = pool_name(worker.pool_cls)
    conf = worker.app.conf
    return {
        "node": state.hostname,
        "pool": pool,
        "concurrency": _most_at_once(worker, pool),
        "pid": os.getpid(),
        "life": _life,
        "queues": sorted(worker.app.amqp.queues.consume_from),
        "prefetch_multiplier": worker.prefetch_multiplier,
        "acks": acks_of(task for name, task in worker.app.tasks.items() if not name.startswith(NOT_OWN)),
        "reject_on_worker_lost": bool(conf.task_reject_on_worker_lost),
        "visibility_timeout_s": _visibility_timeout_s(conf, state.consumer.connection.transport),
        "events": bool(worker.task_events),
        "start_method": getattr(worker, "pool_start_method", "fork"),  # older versions of Celery know no other
        "autoscale": [*(worker.autoscale or ())],
        "results": _results_of(worker.app),
        # Not from the setting: with some URLs kombu overlooks it.
        "transport": getattr(state.consumer.connection.transport, "kind", STOCK),
        "python": platform.python_version(),
        "gil": _is_gil_enabled(),
        "poolrace": __version__,
        "celery": version("celery"),
        "kombu": version("kombu"),
        "limits": asdict(cgroup_limits()),
        "inert_settings": [warning.consequence for warning in inert_settings(pool, conf)],
    }


def _visibility_timeout_s(conf: Any, transport: Any) -> float | None:
    """Return the time after which what a dead node held goes to others; None on a broker that knows no such time."""
    own = getattr(getattr(transport, "Channel", None), "visibility_timeout", None)
    return (conf.broker_transport_options or {}).get("visibility_timeout", own)


def _results_of(app: Any) -> str:
    """Return whether an app stores the results of tasks that do not say, as a lane's key `results` has it."""
    if app.conf.task_ignore_result or isinstance(app.backend, DisabledBackend):
        return "off"
    return "gathered" if type(app.backend).__module__ == "poolrace.results.backend" else "on"


@inspect_command(name=GOODBYE_COMMAND, args=[("run_id", str)], signature="<run_id>")
def goodbye(state: Any, run_id: str) -> dict[str, Any]:  # noqa: ARG001 - Celery passes it
    """Send no more samples to a run."""
    if _shipper is not None:
        _shipper.forget(run_id)
    return {"ok": run_id}


@inspect_command(name=SAMPLE_COMMAND)
def sample(state: Any) -> dict[str, Any]:  # noqa: ARG001 - Celery passes it
    """
    Sample the CPU time and context switches of the node's process tree; its memory takes too long to read.

    Beside it stand how often the kernel stopped the node because of a CPU quota, if one holds, and what all programs of
    its machine have used.
    """
    if _shipper is None:
        return {"error": "stamping is not attached to this node's app"}
    throttling = cgroup_throttling()
    used = {THROTTLING: throttling and asdict(throttling), MACHINE: asdict(machine_use())}
    return {**_shipper.sample().to_dict(), **used}
