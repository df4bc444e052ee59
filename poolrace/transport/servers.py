"""Refuses servers that the transport cannot use, by what they report of themselves."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kombu.exceptions import VersionMismatch
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HASH_TAG = re.compile(r"\{[^}]+\}")

MIN_VERSION = (6, 2)
_TOO_OLD = "poolrace.transport needs Redis 6.2 or newer, or Valkey. Use a newer server, or leave out broker_transport."


class UnfitServerError(VersionMismatch):
    """A server that cannot take and note messages in one step."""


def check_server(info: Mapping[str, Any], prefix: str = "") -> None:
    """
    Refuse a server that is too old, or that may spread keys over several servers.

    Args:
        info: What it reports of itself.
        prefix: What every key begins with: `{jobs}:` keeps all of them in one slot of a cluster.

    Raises:
        UnfitServerError: If it is refused; the message says what to do instead.
    """
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers and numbers < MIN_VERSION:
        raise UnfitServerError(f"Redis {version}: {_TOO_OLD}")
    in_cluster = "cluster" in (info.get("redis_mode"), info.get("server_mode"))  # as Redis and as Valkey call it
    if in_cluster and not _HASH_TAG.search(prefix):
        raise UnfitServerError(
            "Redis Cluster: poolrace.transport needs all keys in one slot. Give them a prefix with a hash tag, "
            'broker_transport_options = {"global_keyprefix": "{jobs}:"}, on every producer and node; or use one server.'
        )


@contextmanager
def refusing_old_servers() -> Iterator[None]:
    """
    Explain why a client cannot even connect: a server from before Redis 6 does not know `HELLO`.

    Raises:
        UnfitServerError: If the server is that old; the message says what to do instead.
    """
    try:
        yield
    except RedisError as error:
        if "HELLO" in str(error) and "unknown command" in str(error):
            raise UnfitServerError(f"A server from before Redis 6: {_TOO_OLD}") from error
        raise
