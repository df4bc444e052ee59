"""A user's app sees what the user has set, and nothing that is meant for Poolrace."""

import pytest

from producer.fleet import environment
from producer.fleet.environment import for_app, set_aside


@pytest.fixture(autouse=True)
def nothing_set_aside(monkeypatch):
    monkeypatch.setattr(environment, "_set_aside", {})


def test_an_app_sees_the_environment_without_what_is_meant_for_poolrace():
    given = {"PATH": "/bin", "DATABASE_URL": "x", "POOLRACE_BROKER": "redis://:secret@host/0", "MY_POOLRACE_": "kept"}
    assert for_app(given) == {"PATH": "/bin", "DATABASE_URL": "x", "MY_POOLRACE_": "kept"}


def test_what_this_process_must_not_obey_is_kept_for_the_app():
    set_aside({"CELERY_BROKER_URL": "redis://theirs/0"})
    set_aside({"CELERY_RESULT_BACKEND": "rpc://"})
    assert for_app({"PATH": "/bin"}) == {
        "PATH": "/bin",
        "CELERY_BROKER_URL": "redis://theirs/0",
        "CELERY_RESULT_BACKEND": "rpc://",
    }


def test_what_was_set_aside_is_the_users_word_whatever_stands_there_now():
    set_aside({"CELERY_BROKER_URL": "redis://theirs/0"})
    assert for_app({"CELERY_BROKER_URL": "memory://"}) == {"CELERY_BROKER_URL": "redis://theirs/0"}


def test_the_environment_itself_is_left_as_it_is():
    environ = {"POOLRACE_BROKER": "x"}
    for_app(environ)["ADDED"] = "1"
    assert environ == {"POOLRACE_BROKER": "x"}
    assert for_app({}) == {}
