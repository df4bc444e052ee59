"""A job file is taken as it is written, or refused with the line and what is allowed there."""

import gzip
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.errors import UsageError
from producer.ownapp import jobfile
from producer.ownapp.jobfile import KINDS, read_jobs

GOOD = '{"task": "shop.tasks.resize"}'
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="ascii"))
good_jobs = st.fixed_dictionaries(
    {"task": st.text(st.characters(codec="ascii"), min_size=1)},
    optional={
        "args": st.lists(plain),
        "kwargs": st.dictionaries(st.text(st.characters(codec="ascii")), plain),
        "weight": st.integers(1, 1000) | st.floats(0, 1e9, exclude_min=True),
        "queue": st.text(st.characters(codec="ascii")),
        "headers": st.dictionaries(st.text(st.characters(codec="ascii")), plain),
        "repeatable": st.booleans(),
        "at": st.integers(0, 1000) | st.floats(0, 1e9),
    },
)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Reads a job file of some lines; `path` is where it is."""
    path = tmp_path_factory.mktemp("jobs") / "jobs.jsonl"

    def read(*lines):
        path.write_text("\n".join(lines), encoding="utf-8")
        return read_jobs(path)

    read.path = path
    return read


def refused(read, *lines):
    with pytest.raises(UsageError) as told:
        read(*lines)
    return str(told.value)


def test_a_job_keeps_all_that_was_said_of_it_and_where_it_stands(read):
    job = {
        "task": "shop.tasks.resize", "args": [640, None], "kwargs": {"quality": 0.5}, "weight": 2.5, "queue": "images",
        "headers": {"tenant": "a"}, "repeatable": True, "at": 0, "priority": 9, "expires": 30, "time_limit": 9.5,
        "soft_time_limit": 8, "link": [{"task": "shop.tasks.store"}], "link_error": [], "chain": [],
    }  # fmt: skip
    assert tuple(job) == tuple(KINDS)
    assert read(json.dumps(job)) == [{**job, "line": f"{read.path}, line 1"}]


def test_nothing_is_made_up_that_was_not_said(read):
    assert read(GOOD) == [{"task": "shop.tasks.resize", "line": f"{read.path}, line 1"}]


def test_empty_lines_are_passed_over_and_counted(read):
    assert [job["line"] for job in read("", GOOD, "   ", GOOD, "")] == [
        f"{read.path}, line 2",
        f"{read.path}, line 4",
    ]


@given(written=st.lists(good_jobs, min_size=1, max_size=5))
def test_whatever_a_good_line_says_is_what_is_read(read, written):
    assert read(*map(json.dumps, written)) == [
        {**job, "line": f"{read.path}, line {number}"} for number, job in enumerate(written, start=1)
    ]


@pytest.mark.parametrize("key", ["weigth", "Weight", "weights"])
def test_an_unknown_key_is_told_with_the_allowed_ones_and_the_nearest(read, key):
    assert refused(read, GOOD, json.dumps({"task": "a", key: 1})) == (
        f"{read.path}, line 2: unknown key '{key}'. Allowed: task, args, kwargs, weight, queue, headers, repeatable, "
        "at, priority, expires, time_limit, soft_time_limit, link, link_error, chain (did you mean weight?)."
    )


def test_a_key_that_is_near_to_none_is_told_without_a_guess(read):
    assert refused(read, '{"task": "a", "zzz": 1}').endswith("soft_time_limit, link, link_error, chain.")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("priority", 256),
        ("priority", 1.5),
        ("expires", 0),
        ("time_limit", -1),
        ("link", [7]),
        ("chain", [{"args": []}]),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_what_may_be(read, key, value):
    assert f"{key} {value!r} must be {KINDS[key][1]}" in refused(read, json.dumps({"task": "a", key: value}))


def test_where_a_job_stands_is_not_for_the_file_to_say(read):
    assert "unknown key 'line'" in refused(read, '{"task": "a", "line": "elsewhere"}')


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("task", 7, "a task's name"),
        ("task", None, "a task's name"),
        ("task", ["a"], "a task's name"),
        ("args", "640", "a list"),
        ("args", {"0": 640}, "a list"),
        ("args", None, "a list"),
        ("kwargs", [["quality", 1]], "an object"),
        ("weight", "2", "a number above 0"),
        ("weight", None, "a number above 0"),
        ("queue", 1, "a queue's name"),
        ("queue", ["a"], "a queue's name"),
        ("headers", "tenant", "an object"),
        ("repeatable", 1, "true or false"),
        ("repeatable", "true", "true or false"),
        ("at", "1s", "seconds, 0 or more"),
        ("at", [0], "seconds, 0 or more"),
    ],
)
def test_a_wrong_kind_is_told_with_the_right_one(read, key, value, words):
    told = refused(read, GOOD, "", json.dumps({"task": "a", key: value}))
    assert told == f"{read.path}, line 3: {key} {value!r} must be {words}."


@pytest.mark.parametrize("key", [key for key in KINDS if key != "repeatable"])
@pytest.mark.parametrize("value", [True, False])
def test_true_and_false_are_no_numbers_and_nothing_else_either(read, key, value):
    assert refused(read, json.dumps({"task": "a", key: value})).endswith(
        f"{key} {value} must be {KINDS[key][1]}."
    )  # fmt: skip


@pytest.mark.parametrize("key", ["weight", "at"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-0.5", "-1"])
def test_a_number_must_be_one_that_can_be_counted_with(read, key, value):
    told = refused(read, GOOD, f'{{"task": "a", "{key}": {value}}}')
    assert told == f"{read.path}, line 2: {key} {float(value) if value != '-1' else -1!r} must be {KINDS[key][1]}."


@pytest.mark.parametrize("value", ["0", "0.0", "-0.0"])
def test_a_weight_of_nothing_is_refused_and_a_moment_of_nothing_is_the_first(read, value):
    assert "must be a number above 0" in refused(read, f'{{"task": "a", "weight": {value}}}')
    assert read(f'{{"task": "a", "at": {value}}}')[0]["at"] == 0


@pytest.mark.parametrize("line", ["{", "{'task': 'a'}", '{"task": "a"', '{"task": "a"},', "shop.tasks.resize"])
def test_a_line_that_is_not_json_is_told(read, line):
    assert refused(read, GOOD, line).startswith(f"{read.path}, line 2: not JSON: ")


@pytest.mark.parametrize("line", ["[]", "1", "null", '"task"', '["task"]', "{}", '{"args": [1]}'])
def test_json_that_is_no_job_is_told_with_an_example(read, line):
    assert refused(read, GOOD, line) == (
        f'{read.path}, line 2: a job is an object with at least a task, e.g. {{"task": "shop.tasks.resize"}}.'
    )


@pytest.mark.parametrize("lines", [[], [""], ["", "  ", "\t"]])
def test_a_file_without_a_job_is_told(read, lines):
    assert refused(read, *lines) == f"--jobs {read.path}: holds no job. Give one a line."


def test_a_file_with_more_jobs_than_can_be_held_is_told(read, monkeypatch):
    monkeypatch.setattr(jobfile, "MAX_LINES", 2)
    assert len(read(GOOD, "", GOOD)) == 2
    assert refused(read, GOOD, GOOD, GOOD) == f"--jobs {read.path}: 3 jobs; at most 2. Take a part of it."


def test_a_file_that_is_not_text_is_told_with_what_to_give(tmp_path):
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(b'{"task": "\xff\xfe"}')
    with pytest.raises(UsageError, match=re.escape(f"--jobs {path}: cannot be read (not text). Give a file with")):
        read_jobs(path)


def test_a_file_that_is_not_there_or_is_a_folder_is_told_with_what_to_give(tmp_path):
    with pytest.raises(UsageError, match=r"none: cannot be read \(No such file or directory\)\. Give a file .*:make"):
        read_jobs(tmp_path / "none")
    with pytest.raises(UsageError, match=r"cannot be read \(Is a directory\)\. Give a file"):
        read_jobs(tmp_path)


def test_only_the_end_of_a_line_ends_a_job_and_a_mark_at_the_beginning_is_overlooked(tmp_path):
    path = tmp_path / "jobs.jsonl"
    path.write_text('\ufeff{"task": "a", "args": ["x\u2028y\x85z"]}\n{"task": "b"}\n', encoding="utf-8")
    assert [(job["task"], job.get("args")) for job in read_jobs(path)] == [("a", ["x\u2028y\x85z"]), ("b", None)]


@pytest.mark.parametrize("line", ["[" * 100_000, '{"task": "a", "weight": 1' + "0" * 400 + "}", '{"task": ""}'])
def test_what_no_reader_can_take_is_told_and_no_traceback(tmp_path, line):
    path = tmp_path / "jobs.jsonl"
    path.write_text(line)
    with pytest.raises(UsageError, match=r"jobs\.jsonl, line 1"):
        read_jobs(path)


def test_lines_without_a_task_are_jobs_of_the_one_that_was_named(read):
    read.path.write_text('{"args": [1]}\n{"task": "shop.other"}\n')
    assert [job["task"] for job in read_jobs(read.path, "shop.price")] == ["shop.price", "shop.other"]


@pytest.mark.parametrize(
    "text", ['{\n  "task": "shop.price"\n}', '[\n{"task": "shop.price"}\n]', '[{"task": "a"}]', "["]
)
def test_objects_over_several_lines_and_lists_have_the_command_that_makes_lines_of_them(read, text):
    assert "jq -c" in refused(read, text)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (gzip.compress(GOOD.encode()), "gunzip"),
        (GOOD.encode("utf-16"), "iconv -f UTF-16 -t UTF-8"),
        (b"\xe9", "not text"),
    ],
    ids=["compressed", "UTF-16", "no text"],  # of their own: gzip writes the time into its bytes
)
def test_a_file_that_is_no_utf_8_is_told_what_it_seems_to_be(read, raw, said):
    read.path.write_bytes(raw)
    with pytest.raises(UsageError, match=said):
        read_jobs(read.path)


def test_jobs_may_come_on_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    assert read_jobs(Path("-")) == [{"task": "shop.tasks.resize", "line": "-, line 1"}]
