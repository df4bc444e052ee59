"""With which options a step carries a call, and which calls are of one kind."""

import datetime

import pytest
from celery import Celery

from poolrace.publishing.options import are_carried, given, kind_of

NOW = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


@pytest.fixture(scope="module")
def app():
    made = Celery("shop", broker="memory://", set_as_current=False)
    made.now = lambda: NOW
    return made


@pytest.mark.parametrize(
    "options",
    [
        {"expires": 0},
        {"expires": 2.5},
        {"expires": NOW + HOUR},
        {"headers": {"trace": {"id": 1}}},
        {"headers": {}},
        {"link": {"task": "other"}, "chain": []},
        {"group_id": "a", "group_index": 0, "producer": "one of the pool", "add_to_parent": False},
    ],
    ids=str,
)
def test_a_step_carries_it(app, options):
    assert are_carried(app, options)


@pytest.mark.parametrize(
    "options",
    [
        {"expires": -1},
        {"expires": NOW - HOUR},
        {"expires": NOW.replace(tzinfo=None) + HOUR},
        {"expires": "2030-01-01T00:00:00+00:00"},
        {"expires": None},
        {"expires": float("nan")},
        {"countdown": 1e12},
        {"headers": {"id": "another"}},
        {"headers": {"compression": "gzip"}},
        {"headers": {1: "a number"}},
        {"stamped_headers": ["trace"], "trace": "1"},
        {"exchange": "other"},
        {"serializer": "pickle"},
        {"connection": "one of the caller"},
        {"link": "task"},
        {"shadow": ""},
        {"add_to_parent": None},
    ],
    ids=str,
)
def test_celery_sends_it(app, options):
    assert not are_carried(app, options)


def test_none_is_no_option_where_it_takes_nothing_back():
    said = {"link": None, "chord": None, "group_id": None, "queue": None, "expires": None, "priority": None}
    assert given(said) == {"queue": None, "expires": None, "priority": None}


def test_calls_are_of_one_kind_if_they_differ_in_what_is_put_in_later():
    first = {"group_id": "a", "group_index": 1, "headers": {"trace": 1}, "link": {"task": "a"}, "expires": 5}
    other = {"group_id": "b", "group_index": 2, "headers": {"trace": 2}, "link": [{"task": "b"}], "expires": NOW}
    assert kind_of(first) == kind_of(other)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"headers": {"trace": 1, "more": 1}},
        {"headers": {"trace": 1}, "queue": "slow"},
        {"headers": {"trace": 1}, "time_limit": 5},
        {"headers": {"trace": 1}, "countdown": 5},
        {"headers": {"trace": 1}, "chain": []},
    ],
    ids=str,
)
def test_calls_that_differ_otherwise_are_of_two_kinds(other):
    assert kind_of({"headers": {"trace": 1}}) != kind_of(other)
