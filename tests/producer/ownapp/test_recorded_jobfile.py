"""A job file is written whole or not at all, a line a job, and never over another unasked."""

import datetime
import json

import pytest
from kombu.utils.json import loads

from producer.errors import UsageError
from producer.ownapp.event_listener import RecordedJob
from producer.ownapp.jobfile import write_jobs
from producer.ownapp.mask import SALT_BYTES, Mask

OPEN = Mask(salt=b"a" * SALT_BYTES)


def job(at, args=(), **others):
    return RecordedJob(task_id=f"id {at}", at=at, task="shop.tasks.resize", args=list(args), kwargs={}, **others)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_job_is_a_line_that_says_when_it_came_after_the_first_and_nothing_empty(tmp_path):
    path = tmp_path / "jobs.jsonl"
    write_jobs(path, [job(1000.5), job(1002.0, ["a.png"], queue="images")], OPEN, force=False)
    assert lines(path) == [
        {"at": 0.0, "task": "shop.tasks.resize"},
        {"at": 1.5, "task": "shop.tasks.resize", "args": ["a.png"], "queue": "images"},
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_arguments_are_masked(tmp_path):
    path = tmp_path / "jobs.jsonl"
    write_jobs(path, [job(1.0, ["secret"])], Mask(salt=b"a" * SALT_BYTES, everything=True), force=False)
    assert "secret" not in path.read_text()


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path):
    path = tmp_path / "jobs.jsonl"
    path.write_text("dear to somebody")
    with pytest.raises(UsageError, match="is there already"):
        write_jobs(path, [job(1.0)], OPEN, force=False)
    assert path.read_text() == "dear to somebody"
    assert list(tmp_path.iterdir()) == [path]
    write_jobs(path, [job(1.0)], OPEN, force=True)
    assert lines(path) == [{"at": 0.0, "task": "shop.tasks.resize"}]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be written|there is no folder"):
        write_jobs(tmp_path / "nowhere" / "jobs.jsonl", [job(1.0)], OPEN, force=False)


def test_lines_are_in_the_order_in_which_jobs_came(tmp_path):
    write_jobs(tmp_path / "jobs.jsonl", [job(3.0), job(1.0), job(2.5)], OPEN, force=False)
    assert [line["at"] for line in lines(tmp_path / "jobs.jsonl")] == [0.0, 1.5, 2.0]


def test_a_value_that_celerys_json_knows_is_written_as_celery_sends_it(tmp_path):
    at = datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
    write_jobs(tmp_path / "jobs.jsonl", [job(1.0, [at])], OPEN, force=False)
    assert loads((tmp_path / "jobs.jsonl").read_text())["args"] == [at]


def test_headers_are_masked_with_everything(tmp_path):
    path = tmp_path / "jobs.jsonl"
    write_jobs(path, [job(1.0, headers={"tenant": "north"})], OPEN, force=False)
    assert lines(path)[0]["headers"] == {"tenant": "north"}
    write_jobs(path, [job(1.0, headers={"tenant": "north"})], Mask(salt=b"a" * 16, everything=True), force=True)
    assert "north" not in path.read_text()
