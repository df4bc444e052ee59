"""A broker behind sentinels: it is found by them, killed, and its replica has its place with what it had copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis
from celery import Celery

from producer.deadlines import until
from producer.fleet.failover import FailoverServers
from producer.fleet.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Iterator

SOON_S = 10.0


@pytest.fixture
def servers() -> Iterator[FailoverServers]:
    """Start a broker, its replica and its sentinels."""
    with Processes() as processes:
        yield FailoverServers(processes, processes.folder())


def test_the_replica_takes_the_place_of_a_broker_that_is_gone_with_what_it_had(servers: FailoverServers) -> None:
    with servers.client() as before:
        before.set("kept", "yes")
        assert before.wait(1, 5_000) == 1  # the replica has it
        before_port = before.get_connection_kwargs()["port"]
    servers.first.kill()
    servers.wait_for_failover()
    with servers.client() as after:
        assert after.get_connection_kwargs()["port"] != before_port
        assert after.get("kept") == b"yes"
        # Named before it is told that it is no replica any more.
        assert until(lambda: _writes(after), SOON_S)


def _writes(client: redis.Redis) -> bool:
    try:
        return bool(client.set("new", "too"))
    except redis.ReadOnlyError:
        return False


def test_celery_finds_it_by_its_url_and_the_name_that_the_sentinels_have(servers: FailoverServers) -> None:
    with Celery("sender", broker=servers.broker.url, set_as_current=False) as app:
        app.conf.broker_transport_options = dict(servers.options)
        app.send_task("any", queue="jobs")
    with servers.client() as client:
        assert client.llen("jobs") == 1


def test_its_address_is_shown_without_its_password(servers: FailoverServers) -> None:
    assert servers.broker.url.count("sentinel://:") == 3
    assert "@" not in servers.broker.shown
