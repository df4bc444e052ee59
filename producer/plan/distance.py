"""The distance of nodes to their broker, as it was asked for, and the brokers before which a relay can stand. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from poolrace.credentials import hide_password
from producer.errors import UsageError
from producer.plan.lane_settings import MAX_RTT_S, RTT
from producer.plan.units import parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PORTS: Mapping[str, int] = MappingProxyType({"redis": 6379, "amqp": 5672, "pyamqp": 5672})
"""Schemes of brokers before which a relay can stand, with the port of each."""


def rtt_s(settings: Sequence[tuple[str, str]]) -> float | None:
    """Return the round trip that a lane's settings ask for, in seconds; None if they say nothing of it."""
    text = dict(settings).get(RTT)
    return None if text is None else parse_duration_s(text, RTT, 0.0, MAX_RTT_S)


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
