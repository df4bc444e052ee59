"""The setting chooses a transport, and the URL its server."""

import pytest
from kombu import Connection

from poolrace.transport import SentinelTransport, Transport


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
