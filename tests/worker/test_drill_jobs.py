"""Jobs of drills note what they do, by whatever notes they are given."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery

from poolrace.effects import BEGUN, DONE
from worker import drill_jobs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def noted() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture
def app(noted: list[tuple[str, str, str]]) -> Iterator[Celery]:
    with Celery("drills", broker="memory://", set_as_current=False) as made:
        drill_jobs.register(made, lambda *note: noted.append(note))
        yield made


def run(app: Celery, name: str, *arguments: object, **request: object) -> None:
    """Run a job as a node does."""
    task: Any = app.tasks[f"drill.{name}"]
    task.push_request(hostname="threads@here", **request)
    task.run("job-7", *arguments)
    task.pop_request()


def test_a_job_notes_its_beginning_and_its_end_under_its_identity(
    app: Celery, noted: list[tuple[str, str, str]]
) -> None:
    run(app, "wait", 0.0)
    assert noted == [("job-7", BEGUN, "threads@here"), ("job-7", DONE, "threads@here")]


@pytest.mark.parametrize("again", [False, True])
def test_a_job_that_has_its_process_killed_once_is_done_when_it_comes_again(
    app: Celery, noted: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *call: killed.append(call))
    run(app, "be_killed_once", delivery_info={"redelivered": again})
    assert killed == ([] if again else [(os.getpid(), signal.SIGKILL)])
    assert noted[0][:2] == ("job-7", BEGUN)


def test_its_tasks_are_not_shared_with_other_apps_of_the_process(app: Celery) -> None:
    assert "drill.wait" in app.tasks
    with Celery("other", broker="memory://", set_as_current=False) as other:
        assert "drill.wait" not in other.tasks
