"""Settings come from the environment once, and a bad one is an error that says what is allowed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from celery import Celery
from celery.app.defaults import DEFAULTS

from worker import settings
from worker.settings import Acks, Settings


def test_without_environment_all_is_local() -> None:
    assert settings.load({}) == Settings(
        broker_url="redis://127.0.0.1:6379/0",
        upstream_url="http://127.0.0.1:8081",
        disk_dir=Path(tempfile.gettempdir()),
        acks=Acks.EARLY,
        transport="stock",
        health_dir=None,
    )


def test_an_empty_variable_is_the_same_as_one_that_is_not_set() -> None:
    names = (
        settings.BROKER_URL,
        settings.UPSTREAM_URL,
        settings.DISK_DIR,
        settings.ACKS,
        settings.TRANSPORT,
        settings.HEALTH_DIR,
    )
    assert settings.load(dict.fromkeys(names, "")) == settings.load({})


def test_every_variable_is_read() -> None:
    loaded = settings.load(
        {
            "POOLRACE_BROKER_URL": "rediss://broker/1",
            "POOLRACE_UPSTREAM_URL": "http://upstream:8081/",
            "POOLRACE_DISK_DIR": "/data",
            "POOLRACE_ACKS": "late",
            "POOLRACE_TRANSPORT": "atomic",
            "POOLRACE_HEALTH_DIR": "/tmp/poolrace",
            "POOLRACE_VISIBILITY_TIMEOUT_S": "60",
        }
    )
    assert loaded == Settings(
        broker_url="rediss://broker/1",
        upstream_url="http://upstream:8081",
        disk_dir=Path("/data"),
        acks=Acks.LATE,
        transport="atomic",
        health_dir=Path("/tmp/poolrace"),
        visibility_timeout_s=60,
    )


def test_the_password_of_the_broker_may_be_in_a_file(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    loaded = settings.load(
        {"POOLRACE_BROKER_URL": "redis://poolrace@redis/0", "POOLRACE_BROKER_PASSWORD_FILE": str(password)}
    )
    assert loaded.broker_url == "redis://poolrace:secret@redis/0"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("POOLRACE_ACKS", "never", "POOLRACE_ACKS 'never': must be early or late"),
        ("POOLRACE_ACKS", "LATE", "POOLRACE_ACKS 'LATE': must be early or late"),
        ("POOLRACE_TRANSPORT", "redis", "POOLRACE_TRANSPORT 'redis': must be stock or atomic"),
        ("POOLRACE_VISIBILITY_TIMEOUT_S", "0", "POOLRACE_VISIBILITY_TIMEOUT_S '0': must be whole seconds, 1 or more"),
        ("POOLRACE_VISIBILITY_TIMEOUT_S", "1h", "POOLRACE_VISIBILITY_TIMEOUT_S '1h': must be whole seconds"),
        ("POOLRACE_PROFILE", "fast", "POOLRACE_PROFILE 'fast': must be safe, or not set"),
        ("POOLRACE_UPSTREAM_URL", "upstream:8081", "POOLRACE_UPSTREAM_URL 'upstream:8081': not an HTTP URL"),
        ("POOLRACE_BROKER_URL", "localhost", "POOLRACE_BROKER_URL: not a URL. Give one such as redis://"),
    ],
)
def test_a_bad_value_is_an_error_that_says_what_is_allowed(name: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match="POOLRACE_") as raised:
        settings.load({name: value})
    assert message in str(raised.value)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(ValueError, match="not a URL") as raised:
        settings.load({"POOLRACE_BROKER_URL": ":secret@localhost"})
    assert "secret" not in str(raised.value)
    assert "secret" not in repr(settings.load({"POOLRACE_BROKER_URL": "redis://:secret@localhost"}))


@pytest.mark.parametrize(("acks", "late"), [(Acks.EARLY, False), (Acks.LATE, True)])
def test_jobs_are_acknowledged_at_the_time_that_the_settings_name(acks: Acks, late: bool) -> None:
    assert settings.celery_config(Settings(acks=acks))["task_acks_late"] is late


def test_the_safe_profile_overrules_the_variables_for_the_same() -> None:
    loaded = settings.load({"POOLRACE_PROFILE": "safe", "POOLRACE_ACKS": "early", "POOLRACE_TRANSPORT": "stock"})
    assert (loaded.acks, loaded.transport, loaded.visibility_timeout_s) == (Acks.LATE, "atomic", 60)
    conf = settings.celery_config(loaded)
    assert conf["task_acks_late"] is conf["task_reject_on_worker_lost"] is True
    assert conf["broker_transport"] == "poolrace.transport:Transport"
    assert conf["broker_transport_options"]["visibility_timeout"] == 60
    assert "task_reject_on_worker_lost" not in settings.celery_config(Settings())


def test_messages_come_over_the_transport_of_the_settings() -> None:
    assert settings.celery_config(Settings(transport="atomic"))["broker_transport"] == "poolrace.transport:Transport"
    assert "broker_transport" not in settings.celery_config(Settings())


@pytest.mark.parametrize("url", ["amqp://me:secret@host//", "redis+socket:///run/broker.sock"])
def test_a_broker_that_the_atomic_transport_does_not_support_is_an_error_that_names_those_that_it_does(
    url: str,
) -> None:
    settings.load({"POOLRACE_BROKER_URL": url})
    with pytest.raises(ValueError, match="works with redis:// and rediss:// only") as raised:
        settings.load({"POOLRACE_BROKER_URL": url, "POOLRACE_TRANSPORT": "atomic"})
    assert "secret" not in str(raised.value)


def test_a_job_of_a_dead_node_comes_back_after_the_time_in_the_settings() -> None:
    options = settings.celery_config(Settings(visibility_timeout_s=6))["broker_transport_options"]
    searches_every_s = options["unacked_restore_interval"] * options["unacked_restore_throttle"]
    assert (options["visibility_timeout"], searches_every_s) == (6, 6)
    assert settings.celery_config(Settings())["broker_transport_options"] == {}


def test_a_broker_that_is_away_is_waited_for_as_long_however_many_urls_it_has() -> None:
    one, three = "redis://a", "sentinel://a;sentinel://b;sentinel://c"
    retries = [
        settings.celery_config(settings.load({settings.BROKER_URL: url}))["broker_connection_max_retries"]
        for url in (one, three)
    ]
    # Celery tries the next URL at once, and counts that as a retry.
    assert retries == [5, 15]


def test_celery_knows_every_setting() -> None:
    assert settings.celery_config(Settings()).keys() <= DEFAULTS.keys()


def test_celery_stores_no_results_and_takes_only_json() -> None:
    app = Celery("test", set_as_current=False)
    app.conf.update(settings.celery_config(Settings()))
    assert app.conf.result_backend is None
    assert app.conf.task_ignore_result is True
    assert app.conf.task_serializer == "json"
    assert app.conf.accept_content == ["json"]


def test_results_go_where_a_lane_says_for_a_minute_and_are_stored_only_if_its_command_line_says_so() -> None:
    url = "redis://:secret@host:6379/0"
    read = settings.load({"POOLRACE_RESULTS_URL": url, "POOLRACE_RESULTS_PREFIX": "poolrace.run."})
    config = settings.celery_config(read)
    assert (config["result_backend"], config["result_expires"]) == (url, 60)
    assert config["result_backend_transport_options"] == {"global_keyprefix": "poolrace.run."}
    assert config["task_ignore_result"] is True
    assert config.keys() <= DEFAULTS.keys()
    assert "secret" not in repr(read)


def test_a_queue_that_a_lane_names_is_created_and_a_job_without_one_goes_to_the_default() -> None:
    app = Celery("test", set_as_current=False)
    app.conf.update(settings.celery_config(Settings()))
    assert app.conf.task_create_missing_queues is True
    assert app.conf.task_default_queue == "poolrace"
