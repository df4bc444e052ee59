"""
The ledger of effects where nodes run on other hosts: its lines travel over their broker, in a list for each drill.

A job goes on only once the broker has the line, and what was not taken is sent again. So of a job that acknowledges
late, each run whose acknowledgement arrived is in the list. What it misses: the lines of a node that ends before it
reached the broker again, and all of it if the broker forgets what it has. A line that was sent twice is the same line.
"""

from __future__ import annotations

import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from celery import shared_task, signals

from poolrace import effects
from poolrace.contract import WAIT_TASK

if TYPE_CHECKING:
    from celery import Celery

EXPIRES_S = 3600
"""The broker forgets a list to which nobody has added for so long, whatever became of its reader."""

PATIENCE_S, FAILURE_PATIENCE_S = 300.0, 5.0
"""How long a job waits for the broker to take its line; and how long the main process of a node may, which has others
to serve."""

ANSWER_S, PAUSE_S, MOST_CONNECTIONS = 2.0, 0.2, 256
_IDENTITY = re.compile(r"job-([0-9a-f]{8})-\d+")

_connections: WeakKeyDictionary[Celery, tuple[int, Any]] = WeakKeyDictionary()
"""By app, with the process that made it: a child that was forked must not use its parent's."""

_connecting = threading.Lock()


def effects_list(token: str) -> str:
    """Return the name of the list with the effects of a drill's jobs in one lane."""
    return f"poolrace.effects.{token}"


def identity(token: str, number: int) -> str:
    """Return the identity of a job, which says to which list its effects go."""
    return f"job-{token}-{number}"


def register(app: Celery) -> None:
    """Add to an app the job that waits and notes its effects, and have its nodes note where such jobs fail."""

    def run(task: Any, job: str, seconds: float) -> None:
        _wait(task.app, task.request.hostname, job, seconds)

    def failed(sender: Any = None, task_id: str = "", **_: Any) -> None:
        if _IDENTITY.fullmatch(task_id or "") and getattr(sender, "app", None) is app:
            note(app, task_id, effects.FAILED, sender.request.hostname or "", FAILURE_PATIENCE_S)

    app.task(bind=True, name=WAIT_TASK, ignore_result=True, shared=False)(run)
    signals.task_failure.connect(failed, weak=False)


def register_in_child() -> None:
    """Do the same in a child that was spawned, for the app that it rebuilds; failures are noted by its parent."""

    def run(task: Any, job: str, seconds: float) -> None:
        _wait(task.app, task.request.hostname, job, seconds)

    shared_task(bind=True, name=WAIT_TASK, ignore_result=True)(run)


def _wait(app: Celery, node: str, job: str, seconds: float) -> None:
    note(app, job, effects.BEGUN, node)
    time.sleep(seconds)
    note(app, job, effects.DONE, node)


def note(app: Celery, job: str, what: str, node: str, patience_s: float = PATIENCE_S) -> None:
    """
    Add a line to the list of a job, and return when the broker has it. Jobs of others are left alone.

    Raises:
        Exception: Whatever the client raises, if the broker has not taken it in time.
    """
    if not (match := _IDENTITY.fullmatch(job)):
        return
    name, line = effects_list(match[1]), effects.line(job, what, node)
    until_s = time.monotonic() + patience_s
    while True:
        try:
            _add(app, name, line)
        except Exception:  # any client's, with any of its errors
            _forget(app)
            if time.monotonic() > until_s:
                raise
            time.sleep(PAUSE_S)
        else:
            return


def _add(app: Celery, name: str, line: str) -> None:
    with _client(app).pipeline(transaction=True) as step:
        step.rpush(name, line)
        step.expire(name, EXPIRES_S)
        step.execute()


def _client(app: Celery) -> Any:
    """Return a client of an app's broker, with kombu's own transport: it only writes."""
    with _connecting:
        process, made = _connections.get(app, (0, None))
        if process != os.getpid():
            url = str(app.conf.broker_write_url or app.conf.broker_url)
            options = {
                "socket_timeout": ANSWER_S, "socket_connect_timeout": ANSWER_S, "max_connections": MOST_CONNECTIONS,
            }  # fmt: skip
            made = app.connection_for_write(transport=url.partition("://")[0], transport_options=options)
            made.connect()
            _connections[app] = os.getpid(), made
        return made.default_channel.client


def _forget(app: Celery) -> None:
    """Give up the connection: the next line makes a new one."""
    with _connecting:
        process, made = _connections.pop(app, (0, None))
    if process == os.getpid():
        made.collect(socket_timeout=0.1)
