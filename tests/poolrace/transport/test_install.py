"""The transport takes the place of kombu's own under its names, stays there through every reconnect, and goes again."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from kombu import Connection
from kombu.transport import redis as kombus

from poolrace import transport
from poolrace.transport import kombu_bases, transports

if TYPE_CHECKING:
    from collections.abc import Iterator

URLS = {
    "redis://127.0.0.1:1/0": transports.Transport,
    "rediss://127.0.0.1:1/0": transports.Transport,
    "redis+socket:///nowhere/redis.sock": transports.Transport,
    "sentinel://127.0.0.1:1/0": transports.SentinelTransport,
}


@pytest.fixture
def installed() -> Iterator[None]:
    transport.install()
    yield
    transport.uninstall()


@pytest.mark.parametrize(("url", "cls"), URLS.items())
@pytest.mark.usefixtures("installed")
def test_once_installed_every_address_of_redis_has_it(url: str, cls: type) -> None:
    assert Connection(url).get_transport_cls() is cls
    assert transport.is_installed()


@pytest.mark.parametrize("url", URLS)
def test_without_it_or_after_it_is_uninstalled_kombus_own_is_there(url: str) -> None:
    before = Connection(url).get_transport_cls()
    assert before.__module__ == kombus.__name__
    transport.install()
    transport.uninstall()
    assert Connection(url).get_transport_cls() is before
    assert not transport.is_installed()


@pytest.mark.usefixtures("installed")
def test_an_address_in_memory_stays_in_memory() -> None:
    assert "memory" in Connection("memory://").get_transport_cls().__module__


@pytest.mark.parametrize(
    ("urls", "name", "options"),
    [
        ("redis://127.0.0.1:1;redis://127.0.0.1:2", "poolrace.transport:Transport", {}),
        ("sentinel://127.0.0.1:1;sentinel://127.0.0.1:2", "poolrace.transport:SentinelTransport", {"master_name": "m"}),
    ],
)
def test_it_stays_when_a_connection_goes_on_to_its_next_address(urls: str, name: str, options: dict[str, Any]) -> None:
    connection = Connection(urls, transport=name, transport_options=options)
    chosen = connection.get_transport_cls()
    _ = connection.transport  # made as for a first attempt
    for _ in range(3):
        connection.maybe_switch_next()
        assert connection.get_transport_cls() is chosen
        assert isinstance(connection.transport, chosen)


@pytest.mark.usefixtures("installed")
def test_installed_it_stays_too_and_each_address_keeps_its_scheme() -> None:
    connection = Connection("redis://127.0.0.1:1;rediss://127.0.0.1:2")
    for scheme in ("rediss", "redis", "rediss"):
        connection.maybe_switch_next()
        assert connection.transport_cls == scheme
        assert connection.get_transport_cls() is transports.Transport


def test_a_node_has_it_if_it_imports_one_module() -> None:
    code = (
        "import poolrace.transport.installed; from kombu import Connection; "
        "print(Connection('redis://').get_transport_cls().__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "poolrace.transport.transports\n"


def test_a_kombu_that_lacks_a_name_is_refused_in_one_line_and_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(kombu_bases._NEEDED, kombus.QoS, "restore_by_tag gone_with_the_next_release")
    with pytest.raises(ImportError, match=r"lacks QoS\.gone_with_the_next_release\. Install such a kombu") as caught:
        transport.install()
    assert "\n" not in str(caught.value)
    assert not transport.is_installed()


def test_to_name_it_costs_no_import_of_it() -> None:
    code = "import sys, poolrace.transport; sys.exit('poolrace.transport.channel' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
