"""Jobs are sized once per race by the worker itself, or are as large as in an earlier run."""

import pytest

from producer.errors import FleetError
from producer.measure.sizing import calibrate, sized_jobs
from producer.plan.jobs import Jobs
from producer.plan.lanes import parse_lanes
from producer.plan.settings import RaceSettings
from worker.tasks import task_name
from worker.workloads import WORKLOADS

LANES = parse_lanes(["prefork", "threads"], concurrency=8, prefetch=4, acks="early")


def asked(*workloads, **changes):
    return RaceSettings(lanes=LANES, workloads=workloads, **changes)


def test_the_worker_says_how_large_jobs_are():
    jobs, sizes = sized_jobs(asked("sleep", "noop", job_s=0.03))
    assert jobs == {
        "sleep": Jobs.of("sleep", "worker.sleep", (30_000,), expected_s=0.03),
        "noop": Jobs.of("noop", "worker.noop", (), expected_s=0.0),
    }
    assert sizes["sleep"] == {"amount": [30_000], "target_s": 0.03, "measured_s": None}


def test_a_share_of_computing_arrives_at_the_worker():
    jobs, _ = sized_jobs(asked("mixed", job_s=0.04, cpu_share=0.0))
    assert jobs["mixed"].calls[0].args == (40_000, 0)


def test_tasks_have_the_names_that_the_worker_gives_them():
    sizes = {name: {"amount": [1], "target_s": 0.1, "measured_s": None} for name in WORKLOADS}
    jobs, _ = sized_jobs(asked(*WORKLOADS, sizes=sizes))
    assert {name: each.calls[0].task for name, each in jobs.items()} == {name: task_name(name) for name in WORKLOADS}


def test_sizes_of_an_earlier_run_are_taken_as_they_are_and_only_the_rest_is_sized():
    earlier = {"cpu": {"amount": [12_345], "target_s": 0.02, "measured_s": 0.019}, "io": {"amount": [1]}}
    jobs, sizes = sized_jobs(asked("cpu", "sleep", sizes=earlier))
    assert jobs["cpu"].calls[0].args == (12_345,)
    assert jobs["sleep"].calls[0].args == (50_000,)
    assert list(sizes) == ["cpu", "sleep"]


def test_what_nobody_can_tell_the_duration_of_is_expected_to_take_none():
    jobs, _ = sized_jobs(asked("disk"))
    assert jobs["disk"].expected_s == 0.0


def test_a_calibration_that_fails_is_told_with_its_reason():
    with pytest.raises(FleetError, match=r"The jobs cannot be sized: (.|\n)*invalid choice: 'gpu'"):
        calibrate(["gpu"], job_s=None, cpu_share=None)


def test_a_calibration_that_takes_too_long_is_told():
    with pytest.raises(FleetError, match="not sized within 0 s: this machine is too busy"):
        calibrate(["sleep"], job_s=None, cpu_share=None, timeout_s=0.0)


def test_variables_of_the_caller_do_not_disturb_it(monkeypatch):
    monkeypatch.setenv("POOLRACE_ACKS", "nonsense")
    monkeypatch.setenv("CELERY_BROKER_URL", "nonsense")
    assert calibrate(["sleep"], job_s=0.01, cpu_share=None)["sleep"]["amount"] == [10_000]
