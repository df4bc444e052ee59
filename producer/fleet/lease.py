"""
A lease of a fleet that others use too: a key on the broker that expires, so that only one run measures at a time.

A continuous load checks for the key and pauses while it is there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from producer.errors import FleetError

if TYPE_CHECKING:
    from celery import Celery

LEASE_KEY = "poolrace.claim"
EXPIRES_S = 20
RENEW_EVERY_S = 5.0


class FleetLease:
    """
    The right to measure on a fleet, for one run.

    On a broker without keys, one that is not Redis, there is no lease, and every method does nothing.
    """

    def __init__(self, app: Celery, run_id: str) -> None:
        self._connection = app.connection_for_write()
        self._run_id = run_id
        self._renewed_s = 0.0

    def take(self) -> None:
        """
        Take the lease.

        Raises:
            FleetError: If another run holds it.
        """
        client = self._client()
        if client is None or client.set(LEASE_KEY, self._run_id, nx=True, ex=EXPIRES_S):
            return
        raise FleetError(
            "Another run measures on this fleet. Wait for it to end; if it was killed, its lease expires within "
            f"{EXPIRES_S} s."
        )

    def renew(self) -> None:
        """Renew the lease; to be called at least every few seconds."""
        client = self._client()
        if client is not None and time.monotonic() - self._renewed_s >= RENEW_EVERY_S:
            client.set(LEASE_KEY, self._run_id, ex=EXPIRES_S)
            self._renewed_s = time.monotonic()

    def release(self) -> None:
        """Give the lease back, unless another run holds it by now."""
        client = self._client()
        if client is not None and client.get(LEASE_KEY) == self._run_id.encode():
            client.delete(LEASE_KEY)
        self._connection.release()

    def taken(self) -> bool:
        """Check whether a run holds the lease."""
        client = self._client()
        return client is not None and bool(client.exists(LEASE_KEY))

    def _client(self) -> Any:
        client = getattr(self._connection.default_channel, "client", None)
        return client if hasattr(client, "set") else None
