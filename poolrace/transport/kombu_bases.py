"""Kombu's classes for Redis, as `Any`: their stubs leave out the inner parts, which a subclass has to know."""

from __future__ import annotations

from typing import Any

from kombu.transport import redis, virtual

BasicQoS: Any = virtual.QoS
RedisQoS: Any = redis.QoS
RedisPoller: Any = redis.MultiChannelPoller
RedisChannel: Any = redis.Channel
RedisSentinelChannel: Any = redis.SentinelChannel
RedisTransport: Any = redis.Transport
