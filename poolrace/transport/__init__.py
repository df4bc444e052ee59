"""
A Redis transport for Celery that takes and notes messages in one step.

The setting `broker_transport = "poolrace.transport:Transport"` switches it on. docs/transport.md has its guarantees and
its limits.
"""

from poolrace.transport.transports import SentinelTransport, Transport

__all__ = ["SentinelTransport", "Transport"]
