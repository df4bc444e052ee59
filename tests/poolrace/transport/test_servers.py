"""Servers that cannot be used are refused, with what to do."""

import pytest

from poolrace.transport.servers import UnfitServerError, check_server


@pytest.mark.parametrize(
    "info", [{"redis_version": "6.2.0"}, {"redis_version": "7.4.1"}, {"redis_version": "10.0"}, {}]
)
def test_a_server_that_can_is_taken(info):
    check_server({**info, "redis_mode": "standalone"})


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"redis_version": "6.0.16"}, "Redis 6.0.16: poolrace.transport needs Redis 6.2 or newer"),
        ({"redis_version": "5.0.3"}, "or leave out broker_transport"),
        ({"redis_version": "7.4.0", "redis_mode": "cluster"}, "Redis Cluster: poolrace.transport needs all keys"),
        ({"redis_version": "7.2.4", "server_mode": "cluster"}, "Redis Cluster: poolrace.transport needs all keys"),
    ],
)
def test_a_server_that_cannot_is_refused_with_what_to_do(info, words):
    with pytest.raises(UnfitServerError, match=words):
        check_server(info)
