"""The distance of nodes to their broker, as it was asked for, and the brokers before which a relay can stand. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from poolrace.credentials import hide_password
from producer.errors import UsageError
from producer.plan.lane_settings import MAX_RTT_S, RTT
from producer.plan.units import MAX_PORT, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PORTS: Mapping[str, int] = MappingProxyType({"redis": 6379, "amqp": 5672, "pyamqp": 5672})
"""Schemes of brokers before which a relay can stand, with the port of each."""


def rtt_s(settings: Sequence[tuple[str, str]]) -> float | None:
    """Return the round trip that a lane's settings ask for, in seconds; None if they say nothing of it."""
    text = dict(settings).get(RTT)
    return None if text is None else parse_duration_s(text, RTT, 0.0, MAX_RTT_S)


def rtt_of_host(texts: Sequence[str], host: str, name: str) -> float:
    """
    Return the round trip of a host, in seconds: that with its name, else that without one, else 0.

    Args:
        texts: Round trips, each as `5ms` for all hosts or `HOST=5ms` for one.
        host: The host.
        name: The option that they come from.

    Raises:
        UsageError: If one is no round trip, or two are of the same hosts.
    """
    found: dict[str, float] = {}
    for text in texts:
        of, _, time = text.rpartition("=")
        if of in found:
            whose = f"{of} has" if of else "all hosts have"
            raise UsageError(f"{name} {text!r}: {whose} a round trip already. Give one for each host.")
        found[of] = parse_duration_s(time, name, 0.0, MAX_RTT_S)
    return found.get(host, found.get("", 0.0))


def parse_address(text: str, name: str) -> tuple[str, int]:
    """
    Return host and port of an address such as `redis:6379` or `[::1]:6379`.

    Raises:
        UsageError: If it is none.
    """
    host, _, port = text.rpartition(":")
    inner = host.removeprefix("[").removesuffix("]")
    if not inner or not port.isdecimal() or not 0 < int(port) <= MAX_PORT or "/" in host or "@" in host:
        raise UsageError(f"{name} {text!r}: must be HOST:PORT, e.g. redis:6379.")
    return inner, int(port)


def check_distance(broker_url: str | None, where: str) -> None:
    """
    Check that a relay can stand before a broker.

    Args:
        broker_url: Its URL; None for one of the run's own.
        where: The option that asks for a distance.

    Raises:
        UsageError: If it cannot, with the reason.
    """
    if broker_url is not None and (";" in broker_url or broker_url.partition("://")[0] not in PORTS):
        raise UsageError(
            f"{where}: a relay can stand before one broker at redis://HOST:PORT or amqp://HOST:PORT. A certificate, a "
            f"socket or further addresses lead past it, as those of {hide_password(broker_url)} would. Leave --broker "
            "out for an embedded one."
        )
