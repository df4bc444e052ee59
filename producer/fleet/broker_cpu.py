"""Asks a broker for the CPU time that it has used so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

from producer.fleet.broker_errors import needing_broker

if TYPE_CHECKING:
    from kombu import Connection

MAIN_THREAD = ("used_cpu_user_main_thread", "used_cpu_sys_main_thread")
WHOLE_PROCESS = ("used_cpu_user", "used_cpu_sys")
"""What a server says that is older than Redis 6.2, and has hardly any other thread."""


def broker_cpu_s(connection: Connection) -> float | None:
    """
    Return the CPU seconds of the broker's main thread, which runs all commands, since the broker began.

    None for a broker that is no Redis, or does not allow the question.

    Raises:
        FleetError: If the broker is gone.
    """
    client: Any = getattr(connection.default_channel, "client", None)
    if not hasattr(client, "info"):
        return None
    with needing_broker():
        try:
            said = client.info("cpu")
        except redis.ResponseError:  # it is forbidden, or a hosted broker lacks it
            return None
    keys = MAIN_THREAD if MAIN_THREAD[0] in said else WHOLE_PROCESS
    return sum(float(said[key]) for key in keys) if all(key in said for key in keys) else None
