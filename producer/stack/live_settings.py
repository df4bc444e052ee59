"""The settings of a continuous load: on the broker, where any process may change them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from producer.errors import FleetError
from producer.plan.units import parse_rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from celery import Celery


SETTINGS_KEY = "poolrace.live"
"""The settings of the running load, as JSON."""

MAX_RATE_PER_S = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """
    The settings of the load.

    Attributes:
        rate_per_s: Jobs per second on each lane.
        mix: Shares of workloads; they need not add up to anything.
        paused: Send nothing.
    """

    rate_per_s: float
    mix: Mapping[str, float]
    paused: bool = False

    def to_json(self) -> str:
        """Return the text for the key on the broker."""
        return json.dumps({**asdict(self), "mix": dict(self.mix)})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


class LiveSettingsStore:
    """The settings on the broker: where the running load reads them, and a command changes them."""

    def __init__(self, app: Celery, default: LiveSettings) -> None:
        self._connection = app.connection_for_write()
        self._default = default

    def read(self) -> LiveSettings:
        """Return the settings in force; the default if the broker has none."""
        text = self._client().get(SETTINGS_KEY)
        return LiveSettings.from_json(text) if text else self._default

    def change(self, **changes: Any) -> LiveSettings:
        """Change some of the settings; return all of them."""
        settings = replace(self.read(), **changes)
        self._client().set(SETTINGS_KEY, settings.to_json())
        return settings

    def close(self) -> None:
        """Give the connection back."""
        self._connection.release()

    def _client(self) -> Any:
        client = getattr(self._connection.default_channel, "client", None)
        if not hasattr(client, "get"):
            raise FleetError("A live load takes its settings from a Redis broker, and this is none. Use poolrace race.")
        return client


def parse_live_rate(text: str, name: str) -> float:
    """
    Jobs per second of a gentle load.

    Raises:
        UsageError: If it is none, or more than a gentle load should be.
    """
    return parse_rate(text, name, MAX_RATE_PER_S)
