"""
How a Celery app is switched to the atomic transport and back, as data. What it does is in docs/transport.md.

Standard library only: whoever names the transport need not load it.
"""

from __future__ import annotations

STOCK = "stock"
"""Kombu's own transport."""

ATOMIC = "atomic"
"""`poolrace.transport`."""

TRANSPORTS = (STOCK, ATOMIC)

SETTING = "broker_transport"
"""Celery's setting; `SETTING=PATH` behind the flags of `celery worker` overrules what the app says."""

PATH = "poolrace.transport:Transport"

SCHEMES = ("redis", "rediss")
"""Brokers that an atomic lane takes; a Unix socket is not among them, for each transport has its own address for it."""


def transport_of(value: object) -> str:
    """Which transport a value of `SETTING` stands for."""
    return ATOMIC if str(value).startswith("poolrace.transport:") else STOCK


def setting(transport: str) -> dict[str, str]:
    """What an app's settings say to have a transport; nothing for kombu's own."""
    return {SETTING: PATH} if transport == ATOMIC else {}


def flags(transport: str) -> list[str]:
    """The same on the command line of `celery worker`."""
    return [f"{name}={value}" for name, value in setting(transport).items()]


def supports(broker_url: str) -> bool:
    """Whether an atomic lane takes a broker, or several, as `URL;URL`."""
    return all(url.partition("://")[0] in SCHEMES for url in broker_url.split(";"))
