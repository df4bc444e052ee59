"""
A Redis transport for Celery that takes and notes messages in one step.

`install()` puts it in the place of kombu's own, `uninstall()` takes it out again. docs/transport.md has its guarantees
and its limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu import transport as kombu_transport

if TYPE_CHECKING:
    from poolrace.transport.transports import SentinelTransport, Transport

__all__ = ["SentinelTransport", "Transport", "install", "is_installed", "uninstall"]

_OURS = {
    "redis": "poolrace.transport.transports:Transport",
    "rediss": "poolrace.transport.transports:Transport",
    "sentinel": "poolrace.transport.transports:SentinelTransport",
}
_KOMBUS = {name: kombu_transport.TRANSPORT_ALIASES[name] for name in _OURS}


def install() -> None:
    """
    Have every connection of this process that is made from now on to `redis://`, `rediss://` or `sentinel://` use it.

    Call it where the app is made, or have a node import `poolrace.transport.installed`.

    Raises:
        ImportError: If kombu is of a version that it does not fit; the message says what is missing.
    """
    from poolrace.transport.kombu_bases import check_kombu

    check_kombu()
    _point_at(_OURS)


def uninstall() -> None:
    """Have connections that are made from now on use kombu's own again."""
    _point_at(_KOMBUS)


def is_installed() -> bool:
    """Return whether connections are made with it."""
    return kombu_transport.TRANSPORT_ALIASES["redis"] == _OURS["redis"]


def _point_at(paths: dict[str, str]) -> None:
    kombu_transport.TRANSPORT_ALIASES.update(paths)
    for name in paths:
        # What kombu has found by a name before.
        kombu_transport._transport_cache.pop(name, None)  # type: ignore[attr-defined]


def __getattr__(name: str) -> Any:
    """Return the transports, which take a while to import, when somebody asks for them."""
    if name not in {"Transport", "SentinelTransport"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from poolrace.transport import transports

    return getattr(transports, name)
