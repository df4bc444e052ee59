"""Which servers can be used, from what they tell of themselves."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kombu.exceptions import VersionMismatch
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LEAST = (6, 2)
TOO_OLD = "poolrace.transport needs Redis 6.2 or newer, or Valkey. Use a newer server, or leave out broker_transport."


class UnfitServerError(VersionMismatch):
    """A server that cannot take and note messages in one step."""


def check_server(info: Mapping[str, Any]) -> None:
    """
    Refuse what lacks `BLMOVE` and `RPOP` with a count, or spreads keys over several servers.

    Raises:
        UnfitServerError: With what to do instead.
    """
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers and numbers < LEAST:
        raise UnfitServerError(f"Redis {version}: {TOO_OLD}")
    if "cluster" in (info.get("redis_mode"), info.get("server_mode")):  # as Redis and as Valkey call it
        raise UnfitServerError(
            "Redis Cluster: poolrace.transport needs all keys on one server. "
            "Use one server or Sentinel, or leave out broker_transport."
        )


@contextmanager
def refusing_old_servers() -> Iterator[None]:
    """
    Say what is wrong where a client cannot even begin, since a server from before Redis 6 does not know `HELLO`.

    Raises:
        UnfitServerError: With what to do instead.
    """
    try:
        yield
    except RedisError as error:
        if "HELLO" in str(error) and "unknown command" in str(error):
            raise UnfitServerError(f"A server from before Redis 6: {TOO_OLD}") from error
        raise
