"""The parts of the transport that need no server."""

import socket

import pytest
from kombu import Connection
from kombu.asynchronous import Hub

from poolrace.transport import SentinelTransport, Transport
from poolrace.transport.poller import Poller
from poolrace.transport.script import Broken, Lists, Places, Taken, arguments, read_answer
from poolrace.transport.servers import UnfitServerError, check_server

PLACES = Places(unacked="unacked", index="unacked_index", dead="dead")


def test_keys_come_first_and_acks_last():
    lists = Lists(keys=["a", "b", "a:3", "b:3"], noted=[True, False], turns=True)
    assert arguments(PLACES, lists, now=1.5, room=7, acks=["t1", "t2"]) == [
        7, "unacked", "unacked_index", "dead", "a", "b", "a:3", "b:3", "1.5", 7, 1, 2, "10", "t1", "t2",
    ]  # fmt: skip


def test_an_answer_tells_what_is_taken_from_what_is_set_aside():
    taken, broken = read_answer([1, b"tag", b"{}", -1, b"not JSON", b"{", 3, b"", b"[]"])
    assert taken == [Taken(at=0, tag="tag", raw=b"{}"), Taken(at=2, tag="", raw=b"[]")]
    assert broken == [Broken(reason="not JSON", raw=b"{")]


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


def test_the_setting_names_a_transport_and_the_url_the_server():
    connection = Connection("redis://:secret@somewhere:7000/3", transport="poolrace.transport:Transport")
    assert isinstance(connection.transport, Transport)
    assert (connection.hostname, connection.port, connection.virtual_host) == ("somewhere", 7000, "3")


@pytest.mark.parametrize(
    ("url", "hostname", "virtual_host"),
    [
        ("socket:///tmp/Here/a.sock", "socket:///tmp/Here/a.sock", "/"),
        ("redis:///3", None, "3"),
        ("redis:///jobs", None, "jobs"),  # no database, which kombu says
    ],
)
def test_a_path_is_a_socket_and_no_database(url, hostname, virtual_host):
    connection = Connection(url, transport="poolrace.transport:Transport")
    assert connection.transport.client is connection
    assert (connection.hostname, connection.virtual_host) == (hostname, virtual_host)


def test_behind_sentinel_there_is_a_transport_of_its_own():
    connection = Connection("sentinel://somewhere:26379/0", transport="poolrace.transport:SentinelTransport")
    assert isinstance(connection.transport, SentinelTransport)


def test_a_socket_that_the_loop_reads_is_not_added_to_it_again():
    ours, theirs, poller, hub = print, repr, Poller(), Hub()
    one, other = socket.socketpair()
    with one, other:
        poller._fd_to_chan = {one.fileno(): ("channel", "BRPOP")}
        poller.hub, poller.reader = hub, ours
        assert list(poller.fds) == [one.fileno()]
        hub.add_reader(one, theirs)
        assert list(poller.fds) == [one.fileno()]
        hub.add_reader(one, ours)
        assert list(poller.fds) == []
        hub.close()
