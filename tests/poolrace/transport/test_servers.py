"""A server is used or refused by what it reports of itself, and a refusal says what to do."""

import pytest
from redis.exceptions import AuthenticationError, ResponseError

from poolrace.transport.servers import UnfitServerError, check_server, refusing_old_servers


def refusal(info, prefix=""):
    """Return why a server is refused; an empty text if it is used."""
    try:
        check_server(info, prefix)
    except UnfitServerError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("info", "why"),
    [
        ({"redis_version": "6.2.0", "redis_mode": "standalone"}, ""),
        ({"redis_version": "7.4.1", "redis_mode": "standalone"}, ""),
        ({"redis_version": "7.4.1", "redis_mode": "sentinel"}, ""),
        ({"redis_version": "10.0", "server_mode": "standalone"}, ""),
        ({}, ""),
        ({"redis_version": "6.0.16"}, "Redis 6.0.16: poolrace.transport needs Redis 6.2 or newer"),
        ({"redis_version": "5.0.3"}, "Redis 5.0.3: poolrace.transport needs Redis 6.2 or newer"),
        ({"redis_version": "7.4.0", "redis_mode": "cluster"}, "Redis Cluster: poolrace.transport needs all keys"),
        ({"redis_version": "7.2.4", "server_mode": "cluster"}, "Redis Cluster: poolrace.transport needs all keys"),
    ],
)
def test_old_servers_and_clusters_are_refused_and_no_others(info, why):
    assert refusal(info).startswith(why)
    assert bool(refusal(info)) is bool(why)
    assert not why or "leave out broker_transport" in refusal(info) or "or use one server" in refusal(info)


@pytest.mark.parametrize(("prefix", "fits"), [("{jobs}:", True), ("a{b}", True), ("jobs:", False), ("{}:", False)])
def test_a_cluster_is_used_if_a_hash_tag_keeps_all_keys_in_one_slot(prefix, fits):
    assert (refusal({"redis_version": "7.4.0", "redis_mode": "cluster"}, prefix) == "") is fits


def test_a_server_that_does_not_know_hello_is_too_old():
    with pytest.raises(UnfitServerError, match=r"A server from before Redis 6: .* leave out broker_transport"):
        with refusing_old_servers():
            raise ResponseError("unknown command `HELLO`, with args beginning with: `3`")


@pytest.mark.parametrize("error", [AuthenticationError("HELLO must be called authenticated"), ResponseError("LOADING")])
def test_any_other_error_of_a_server_stays_itself(error):
    with pytest.raises(type(error)) as raised:
        with refusing_old_servers():
            raise error
    assert raised.value is error
