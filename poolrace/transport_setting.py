"""
The setting that switches a Celery app to the atomic transport and back, as data.

docs/transport.md describes the transport. Standard library only: code that names the transport need not load it.
"""

from __future__ import annotations

STOCK = "stock"
"""The name of kombu's own transport."""

ATOMIC = "atomic"
"""The name of `poolrace.transport`."""

TRANSPORTS = (STOCK, ATOMIC)

SETTING = "broker_transport"
"""Celery's setting; `SETTING=PATH` behind the flags of `celery worker` overrules the app's own."""

PATH = "poolrace.transport:Transport"

DEAD_LETTER_KEY = "unacked_dead_letter"
"""The list of messages that the transport set aside, unless its option `dead_letter_key` names another."""

SCHEMES = ("redis", "rediss")
"""The brokers of an atomic lane. A Unix socket is not one: each transport has its own address for it."""


def transport_of(value: object) -> str:
    """Return the transport that a value of `SETTING` stands for."""
    return ATOMIC if str(value).startswith("poolrace.transport:") else STOCK


def setting(transport: str) -> dict[str, str]:
    """Return the settings that give an app a transport; none for kombu's own."""
    return {SETTING: PATH} if transport == ATOMIC else {}


def flags(transport: str) -> list[str]:
    """Return the arguments of `celery worker` that give its app a transport."""
    return [f"{name}={value}" for name, value in setting(transport).items()]


def supports(broker_url: str) -> bool:
    """Check whether an atomic lane can use a broker, or several as `URL;URL`."""
    return all(url.partition("://")[0] in SCHEMES for url in broker_url.split(";"))
