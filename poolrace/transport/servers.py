"""Which servers can be used, from what they tell of themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kombu.exceptions import VersionMismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAST = (6, 2)


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
        raise UnfitServerError(
            f"Redis {version}: poolrace.transport needs Redis 6.2 or newer, or Valkey. "
            "Use a newer server, or leave out broker_transport."
        )
    if info.get("redis_mode") == "cluster":
        raise UnfitServerError(
            "Redis Cluster: poolrace.transport needs all keys on one server. "
            "Use one server or Sentinel, or leave out broker_transport."
        )
