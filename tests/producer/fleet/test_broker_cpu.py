"""The CPU time of a broker is that of its main thread, where the broker tells it."""

from types import SimpleNamespace

import pytest
import redis

from producer.errors import FleetError
from producer.fleet.broker_cpu import broker_cpu_s


def connection(said):
    """A connection to a Redis that says this of its CPU time, or raises it."""

    def info(section):
        assert section == "cpu"
        if isinstance(said, Exception):
            raise said
        return said

    return SimpleNamespace(default_channel=SimpleNamespace(client=SimpleNamespace(info=info)))


def test_it_is_that_of_the_main_thread():
    said = {
        "used_cpu_user": 9.0,
        "used_cpu_sys": 9.0,
        "used_cpu_user_main_thread": 2.0,
        "used_cpu_sys_main_thread": 1.5,
    }
    assert broker_cpu_s(connection(said)) == 3.5


def test_an_older_server_tells_that_of_its_process():
    assert broker_cpu_s(connection({"used_cpu_user": 2.0, "used_cpu_sys": 0.5})) == 2.5


@pytest.mark.parametrize("said", [{}, redis.exceptions.NoPermissionError("no"), redis.ResponseError("unknown command")])
def test_a_broker_that_does_not_tell_has_none(said):
    assert broker_cpu_s(connection(said)) is None


def test_a_broker_that_is_no_redis_has_none():
    assert broker_cpu_s(SimpleNamespace(default_channel=SimpleNamespace())) is None


def test_a_broker_that_is_gone_is_an_error():
    with pytest.raises(FleetError, match="The broker is gone"):
        broker_cpu_s(connection(redis.ConnectionError("gone")))
