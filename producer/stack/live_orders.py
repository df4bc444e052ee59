"""Orders for a continuous load: kept on the broker, where any process may change them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from producer.errors import FleetError
from producer.plan.units import parse_rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from celery import Celery


KEY = "poolrace.live"
"""The key of the orders on the broker; its value is JSON."""

MAX_RATE_PER_S = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """
    The rate and mix that the load is to send.

    Attributes:
        rate_per_s: Jobs per second on each lane.
        mix: Shares of workloads; they need not add up to anything.
        paused: Send nothing.
    """

    rate_per_s: float
    mix: Mapping[str, float]
    paused: bool = False

    def to_json(self) -> str:
        """Return the value of the key on the broker."""
        return json.dumps({**asdict(self), "mix": dict(self.mix)})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` returned."""
        return cls(**json.loads(text))


class OrderBook:
    """The orders on the broker: the running load reads them, and commands change them."""

    def __init__(self, app: Celery, default: Orders) -> None:
        self._connection = app.connection_for_write()
        self._default = default

    def read(self) -> Orders:
        """Return the orders in force; the default where there are none."""
        text = self._client().get(KEY)
        return Orders.from_json(text) if text else self._default

    def change(self, **changes: Any) -> Orders:
        """Change some of the orders, and return them all."""
        orders = replace(self.read(), **changes)
        self._client().set(KEY, orders.to_json())
        return orders

    def close(self) -> None:
        """Give the connection back."""
        self._connection.release()

    def _client(self) -> Any:
        client = getattr(self._connection.default_channel, "client", None)
        if not hasattr(client, "get"):
            raise FleetError("A live load takes its orders from a Redis broker, and this is none. Use poolrace race.")
        return client


def parse_live_rate(text: str, name: str) -> float:
    """
    Read the rate of a gentle load, in jobs per second.

    Raises:
        UsageError: If it is not a rate, or more than a gentle load should have.
    """
    return parse_rate(text, name, MAX_RATE_PER_S)
