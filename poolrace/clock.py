"""Measures the offset of this process's clock to the broker's, with a bound on the error."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poolrace.contract import NO_OFFSET, ClockOffset

if TYPE_CHECKING:
    from collections.abc import Callable

    from kombu import Connection

ROUND_TRIPS = 8
"""The number of times that the broker is asked; the fastest answer is the one least disturbed."""


@dataclass(frozen=True, slots=True)
class BrokerClock:
    """
    The broker's clock, as a process of another machine reads it: its own clock, corrected.

    Attributes:
        correction_s: The seconds that are added to this machine's clock.
        host: This machine's clock, in seconds since the epoch.
    """

    correction_s: float = 0.0
    host: Callable[[], float] = time.time

    def now(self) -> float:
        """Return the broker's time, in seconds since the epoch."""
        return self.at(self.host())

    def at(self, host_at: float) -> float:
        """Move an instant of this machine's clock to the broker's."""
        return host_at + self.correction_s


THIS_MACHINE = BrokerClock()
"""The clock of a process on the broker's own machine."""


def measure_offset(
    ask_s: Callable[[], float], now: Callable[[], float] = time.time, round_trips: int = ROUND_TRIPS
) -> ClockOffset:
    """
    Compare a clock with the broker's, in the manner of Cristian (1989).

    The broker read its clock somewhere within a round trip; its middle is the best guess and half of it the bound.

    Args:
        ask_s: Returns the broker's time, in seconds since the epoch.
        now: The clock to compare.
        round_trips: The number of times to ask; the fastest answer counts.
    """
    offsets = []
    for _ in range(round_trips):
        before = now()
        broker_at = ask_s()
        after = now()
        half_s = (after - before) / 2
        offsets.append(ClockOffset(offset_s=broker_at - before - half_s, bound_s=half_s))
    return min(offsets, key=lambda offset: offset.bound_s)


def broker_offset(connection: Connection) -> ClockOffset:
    """Measure the offset to a connection's broker; return `NO_OFFSET` if the broker has no TIME command."""
    client: Any = getattr(connection.default_channel, "client", None)
    if not hasattr(client, "time"):
        return NO_OFFSET

    def ask_s() -> float:
        seconds, microseconds = client.time()
        return float(seconds) + float(microseconds) / 1e6

    return measure_offset(ask_s)
