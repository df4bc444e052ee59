"""Kombu's classes for Redis, as `Any`: their stubs leave out the inner parts, which a subclass has to know."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from kombu.transport import redis, virtual

if TYPE_CHECKING:
    from collections.abc import Mapping

KOMBU_NEEDED = "kombu 5.4 to 5.7"

_NEEDED = {
    redis.Channel: (
        "_basic_cancel _brpop_read _brpop_start _closing _create_client _disconnect_pools _do_restore_message "
        "_get_message_priority _in_poll _lookup _on_connection_disconnect _q_for_pri "
        "active_queues async_pool get_table"
    ),
    redis.MultiChannelPoller: "_client_registered _register _register_BRPOP _register_LISTEN",
    redis.QoS: "restore_by_tag restore_unacked_once",
    redis.Transport: "register_with_event_loop on_readable",
}
"""The names, most of them private, that a subclass relies on."""


def check_kombu(needed: Mapping[Any, str] = _NEEDED, user: str = "poolrace.transport") -> None:
    """
    Check that this kombu has every name that the transport, or another user, relies on.

    Args:
        needed: Names, apart by spaces, by the class that has them.
        user: The package that needs them.

    Raises:
        ImportError: If it lacks one.
    """
    wanted = ((kind, name) for kind, names in needed.items() for name in names.split())
    missing = [f"{kind.__name__}.{name}" for kind, name in wanted if not hasattr(kind, name)]
    if missing:
        raise ImportError(
            f"{user} needs {KOMBU_NEEDED}, and {version('kombu')} lacks {', '.join(missing)}. Install such "
            f"a kombu, or leave {user} out: kombu's own works on the same queues."
        )


BasicQoS: Any = virtual.QoS
RedisQoS: Any = redis.QoS
RedisPoller: Any = redis.MultiChannelPoller
RedisChannel: Any = redis.Channel
RedisSentinelChannel: Any = redis.SentinelChannel
RedisTransport: Any = redis.Transport
