"""The transports that kombu starts."""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES

from poolrace.transport.channel import AtomicChannel
from poolrace.transport.kombu_bases import RedisChannel, RedisSentinelChannel, RedisTransport
from poolrace.transport.poller import RENEW_S, Poller
from poolrace.transport_setting import ATOMIC

OPTIONS = ("dead_letter_key", "delivery_limit", "requeue_limit", "defer_eta")
"""The names in `broker_transport_options` that kombu does not know."""


class Channel(AtomicChannel, RedisChannel):  # type: ignore[misc]
    """A channel on one server."""

    from_transport_options = (*RedisChannel.from_transport_options, *OPTIONS)


class SentinelChannel(AtomicChannel, RedisSentinelChannel):  # type: ignore[misc]
    """A channel on the server that Sentinel names."""

    from_transport_options = (*RedisSentinelChannel.from_transport_options, *OPTIONS)


class Transport(RedisTransport):  # type: ignore[misc]
    """Takes messages from Redis or Valkey and notes them in one step."""

    Channel = Channel
    kind = ATOMIC
    """The name by which a node reports its transport."""

    def __init__(self, client: Any, **kwargs: Any) -> None:
        _accept_socket(client)
        _stay(client)
        super().__init__(client, **kwargs)
        self.cycle = Poller()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let an event loop drive the transport."""
        super().register_with_event_loop(connection, loop)
        _tell(connection.client)
        self.cycle.hub, self.cycle.reader = loop, self.on_readable
        loop.call_repeatedly(RENEW_S, _nothing)  # whoever waits asks again after a while, whatever it has heard


def _stay(client: Any) -> None:
    """
    Keep a connection to this transport when it goes on to the next of its addresses.

    Kombu then takes the transport from the scheme of that address, whatever `transport` or `broker_transport` says.
    """
    chosen, switch = client.transport_cls, client.switch
    if chosen in TRANSPORT_ALIASES or "switch" in vars(client):  # by its scheme it finds its way; or it stays already
        return

    def switch_and_stay(address: str) -> None:
        switch(address)
        client.transport_cls = chosen

    client.switch = switch_and_stay


def _tell(client: Any) -> None:
    """Have `inspect stats` of a node, which shows what its connection says of itself, name this transport."""
    info = client.info
    client.info = lambda: {**info(), "taken_by": f"poolrace.transport ({ATOMIC})"}


def _nothing() -> None:
    """Do nothing: the call itself wakes the loop."""


class SentinelTransport(Transport):
    """The atomic transport behind Sentinel."""

    default_port = 26379
    Channel = SentinelChannel


def _accept_socket(client: Any) -> None:
    """
    Read the address `socket:///PATH` as kombu reads `redis+socket:///PATH`.

    Kombu takes the transport from an address with a plus in it, and without one it takes the path for a virtual host.
    """
    path = str(client.virtual_host or "").strip("/")
    if not client.hostname and "/" in path:  # else it is a database
        client.hostname, client.virtual_host = f"socket:///{path}", "/"
