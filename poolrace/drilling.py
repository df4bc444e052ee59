"""
Prepares a Celery app for a drill: what its cell says, and the notes of its jobs where its tasks write none themselves.

A user's tasks are not ours to change, so what is noted of them is what the node sees: that a job began, that it
succeeded, and that it failed. What a task did before its process was gone is not seen.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from celery import signals

from poolrace import effects
from poolrace.outbox import settle_on
from poolrace.profiles import SAFE, Where, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from celery import Celery

    Noting = Callable[[str, str, str], None]
    """Notes of a job what is to be noted, and on which node."""

PROFILE, WITHOUT, OUTBOX = "POOLRACE_DRILLED_PROFILE", "POOLRACE_DRILLED_WITHOUT", "POOLRACE_DRILLED_OUTBOX"
"""Set for the safe profile; its settings that are left out; and the place of the senders' outbox, if they have one."""

VISIBILITY = "POOLRACE_DRILLED_VISIBILITY_S"

MASTER = "POOLRACE_DRILLED_MASTER"
"""The name that sentinels have for the broker; not set where there are none."""

RETURN_LIMIT = "POOLRACE_DRILLED_RETURN_LIMIT"
"""How often a job may come back: by default it is 20 and 100, and a job that ends its node so often takes minutes."""

OURS = "job-"
"""What the identities of a drill's jobs begin with; jobs that they start have others."""


def apply(app: Celery, environ: Mapping[str, str]) -> None:
    """Give an app the settings of a drill's cell."""
    visibility_s = float(environ[VISIBILITY])
    master = {"master_name": environ[MASTER]} if environ.get(MASTER) else {}
    app.conf.broker_transport_options = {
        **(app.conf.broker_transport_options or {}),
        **master,
        "visibility_timeout": visibility_s,
        # kombu looks every 100 s only, which would be added to the timeout.
        "unacked_restore_interval": min(10.0, visibility_s),
        "unacked_restore_throttle": 1,
        "delivery_limit": int(environ[RETURN_LIMIT]),
        "requeue_limit": int(environ[RETURN_LIMIT]),
    }
    if environ.get(PROFILE):
        without = environ.get(WITHOUT, "").split(",")
        app.conf.update(settings_of(SAFE, Where.APP, without, broker_url=str(app.conf.broker_url)))
    if where := environ.get(OUTBOX):
        settle_on(app, where)


def note_failures(app: Celery, note: Noting) -> None:
    """Note the jobs that Celery gives up: because they raised, or their process is gone, or their time is over."""

    def failed(sender: Any = None, task_id: str = "", **_: Any) -> None:
        _note(app, sender, task_id, effects.FAILED, note)

    signals.task_failure.connect(failed, weak=False)


def note_jobs(app: Celery, ledger: str) -> None:
    """Note of each job of a user's app that it began, that it succeeded, that it failed, and that it tries again."""
    note = partial(effects.note, ledger)

    def began(sender: Any = None, task_id: str = "", **_: Any) -> None:
        _note(app, sender, task_id, effects.BEGUN, note)

    def succeeded(sender: Any = None, **_: Any) -> None:
        _note(app, sender, sender.request.id, effects.DONE, note)

    def retried(sender: Any = None, request: Any = None, **_: Any) -> None:
        _note(app, sender, request.id, effects.RETRIED, note)

    def revoked(sender: Any = None, request: Any = None, **_: Any) -> None:
        _note(app, sender, request.id, effects.FAILED, note)

    signals.task_prerun.connect(began, weak=False)
    signals.task_success.connect(succeeded, weak=False)
    signals.task_retry.connect(retried, weak=False)
    signals.task_revoked.connect(revoked, weak=False)
    note_failures(app, note)


def _note(app: Celery, task: Any, job: str, what: str, note: Noting) -> None:
    if job.startswith(OURS) and getattr(task, "app", None) is app:
        note(job, what, task.request.hostname or socket.gethostname())
