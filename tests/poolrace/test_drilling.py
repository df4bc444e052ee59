"""What a drill does to an app: the settings of its cell, and the notes of a user's jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, signals

from poolrace import drilling, effects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAIN = {drilling.VISIBILITY: "3", drilling.RETURN_LIMIT: "3"}


@pytest.fixture
def app() -> Iterator[Celery]:
    with Celery("shop", broker="memory://", set_as_current=False) as made:
        made.task(name="shop.charge", shared=False)(charge)
        yield made


def charge() -> None:
    """What no test runs here."""


def test_a_plain_cell_has_the_timeout_and_low_limits_and_no_profile(app: Celery) -> None:
    app.conf.broker_transport_options = {"priority_steps": [0, 5], "visibility_timeout": 3600}
    drilling.apply(app, PLAIN)
    options = app.conf.broker_transport_options
    assert options["priority_steps"] == [0, 5]
    assert (options["visibility_timeout"], options["unacked_restore_interval"]) == (3, 3)
    assert options["delivery_limit"] == options["requeue_limit"] == 3
    assert not app.conf.task_acks_late


def test_the_safe_profile_is_applied_but_for_what_is_left_out(app: Celery) -> None:
    drilling.apply(app, {**PLAIN, drilling.PROFILE: "safe", drilling.WITHOUT: "task_reject_on_worker_lost"})
    assert app.conf.task_acks_late
    assert not app.conf.task_reject_on_worker_lost
    assert app.conf.broker_transport == "poolrace.transport:Transport"


def say(app: Celery, signal: Any, job: str, **facts: Any) -> None:
    """Say what a node says of a job: with its id, or with the request that runs."""
    task = app.tasks["shop.charge"]
    task.push_request(id=job, hostname="node-1@here")
    signal.send(sender=task, task_id=job, request=task.request, **facts)
    task.pop_request()


def test_a_users_job_is_noted_as_its_node_sees_it(app: Celery, tmp_path: Path) -> None:
    drilling.note_jobs(app, str(tmp_path / "effects"))
    for signal in (signals.task_prerun, signals.task_retry, signals.task_prerun, signals.task_success):
        say(app, signal, "job-1")
    say(app, signals.task_prerun, "job-2")
    say(app, signals.task_failure, "job-2", exception=ValueError())
    say(app, signals.task_revoked, "job-3")
    noted = [(each.job, each.what) for each in effects.Ledger(tmp_path / "effects").notes()]
    assert noted == [
        ("job-1", "begun"), ("job-1", "retried"), ("job-1", "begun"), ("job-1", "done"),
        ("job-2", "begun"), ("job-2", "failed"), ("job-3", "failed"),
    ]  # fmt: skip


def test_jobs_that_a_job_starts_and_those_of_another_app_are_not_noted(app: Celery, tmp_path: Path) -> None:
    drilling.note_jobs(app, str(tmp_path / "effects"))
    say(app, signals.task_prerun, "5f0c3ad2-started-by-another")
    with Celery("other", broker="memory://", set_as_current=False) as other:
        other.task(name="shop.charge", shared=False)(charge)
        say(other, signals.task_prerun, "job-1")
    assert effects.Ledger(tmp_path / "effects").notes() == []
