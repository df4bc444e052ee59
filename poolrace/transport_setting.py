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
PATH_BEHIND_SENTINEL = "poolrace.transport:SentinelTransport"

DEAD_LETTER_KEY = "unacked_dead_letter"
"""The list of messages that the transport set aside, unless its option `dead_letter_key` names another."""

SCHEMES = ("redis", "rediss")
"""The brokers of an atomic lane. A Unix socket is not one: each transport has its own address for it."""


def transport_of(value: object) -> str:
    """Return the transport that a value of `SETTING` stands for."""
    return ATOMIC if str(value).startswith("poolrace.transport:") else STOCK


def path_for(broker_url: str) -> str:
    """Return the value of `SETTING` for a broker, or for several as `URL;URL`: behind Sentinel it is another."""
    return PATH_BEHIND_SENTINEL if broker_url.startswith("sentinel") else PATH


def setting(transport: str, broker_url: str = "") -> dict[str, str]:
    """Return the settings that give an app a transport on a broker; none for kombu's own."""
    return {SETTING: path_for(broker_url)} if transport == ATOMIC else {}


def flags(transport: str, broker_url: str = "") -> list[str]:
    """Return the arguments of `celery worker` that give its app a transport on a broker."""
    return [f"{name}={value}" for name, value in setting(transport, broker_url).items()]


def supports(broker_url: str) -> bool:
    """Check whether an atomic lane can use a broker, or several as `URL;URL`."""
    return all(url.partition("://")[0] in SCHEMES for url in broker_url.split(";"))
