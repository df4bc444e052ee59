"""
One measurement at a time on a fleet that others use too: a key on the broker that expires by itself.

A continuous load looks for the key and pauses while it is there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from producer.errors import FleetError

if TYPE_CHECKING:
    from celery import Celery

KEY = "poolrace.claim"
EXPIRES_S = 20
RENEW_EVERY_S = 5.0


class FleetLease:
    """
    The right to measure on a fleet, for one run.

    On a broker without keys (not Redis) there is nothing to claim, and nothing happens.
    """

    def __init__(self, app: Celery, run_id: str) -> None:
        self._connection = app.connection_for_write()
        self._run_id = run_id
        self._renewed_s = 0.0

    def take(self) -> None:
        """
        Claim the fleet.

        Raises:
            FleetError: If another run has it.
        """
        client = self._client()
        if client is None or client.set(KEY, self._run_id, nx=True, ex=EXPIRES_S):
            return
        raise FleetError(
            "Another run measures on this fleet. Wait for it to end; if it was killed, its claim expires within "
            f"{EXPIRES_S} s."
        )

    def renew(self) -> None:
        """Say that the run goes on; call it at least every few seconds."""
        client = self._client()
        if client is not None and time.monotonic() - self._renewed_s >= RENEW_EVERY_S:
            client.set(KEY, self._run_id, ex=EXPIRES_S)
            self._renewed_s = time.monotonic()

    def release(self) -> None:
        """Give the fleet back, unless somebody else has it by now."""
        client = self._client()
        if client is not None and client.get(KEY) == self._run_id.encode():
            client.delete(KEY)
        self._connection.release()

    def taken(self) -> bool:
        """Some run has the fleet."""
        client = self._client()
        return client is not None and bool(client.exists(KEY))

    def _client(self) -> Any:
        client = getattr(self._connection.default_channel, "client", None)
        return client if hasattr(client, "set") else None
