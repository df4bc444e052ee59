"""
A Redis transport for Celery that takes and notes messages in one step.

On by the setting `broker_transport = "poolrace.transport:Transport"`.
What it does, what it gives and what it does not is in docs/transport.md.
"""

from poolrace.transport.transports import SentinelTransport, Transport

__all__ = ["SentinelTransport", "Transport"]
