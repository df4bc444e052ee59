"""Every workload has a task that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from celery import Celery

from worker import tasks
from worker.settings import Settings
from worker.workloads import WORKLOADS, cpu, native

if TYPE_CHECKING:
    from pathlib import Path


def app_with(settings: Settings) -> Celery:
    app = Celery("test", set_as_current=False)
    tasks.register(app, settings)
    return app


def own_tasks(app: Celery) -> set[str]:
    return {name for name in app.tasks if not name.startswith("celery.")}


def test_every_workload_has_a_task_of_its_name() -> None:
    assert own_tasks(app_with(Settings())) == {
        "worker.cpu",
        "worker.native",
        "worker.io",
        "worker.disk",
        "worker.mixed",
        "worker.sleep",
        "worker.noop",
        "worker.fail",
    }


def test_tasks_are_not_shared_with_other_apps_of_the_process() -> None:
    app_with(Settings())
    assert own_tasks(Celery("other", set_as_current=False)) == set()


def test_a_task_does_what_its_workload_does(upstream_url: str, tmp_path: Path) -> None:
    run = app_with(Settings(upstream_url=upstream_url, disk_dir=tmp_path)).tasks
    assert run["worker.cpu"](100) == cpu.mix(100)
    assert run["worker.native"](2) == native.digest(2)
    assert run["worker.io"](0) > 0
    assert run["worker.disk"](1) == 4096
    assert run["worker.mixed"](0, 10) > 0
    assert run["worker.sleep"](1) is None
    assert run["worker.noop"]() is None
    assert run["worker.noop"](0) is None


def test_a_task_has_the_docstring_of_its_workload() -> None:
    app = app_with(Settings())
    for name, workload in WORKLOADS.items():
        assert app.tasks[tasks.task_name(name)].__doc__ == workload.function.__doc__


def test_a_wrong_number_of_amounts_fails_the_job() -> None:
    job = app_with(Settings()).tasks["worker.cpu"]
    assert job.apply(args=()).state == "FAILURE"


def test_the_failing_task_fails() -> None:
    with pytest.raises(ValueError, match="this job shall fail"):
        app_with(Settings()).tasks["worker.fail"]("this job shall fail")
