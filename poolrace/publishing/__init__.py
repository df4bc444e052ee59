"""
Sends tasks in steps: `apply_async` stays as it is, and what it sends reaches the Redis broker gathered.

    from poolrace import publishing
    publishing.install(app)

A message is with the broker two milliseconds later, in order; `flush` waits for that, and `promise` tells of the
messages of a block. With `confirmed=True` each call returns when the broker has its message, and threads share steps.
What a step cannot carry, such as a stamped message, is sent by Celery itself, after all that was sent before it.
"""

from __future__ import annotations

from poolrace.publishing.errors import PublishError
from poolrace.publishing.installed import flush, install, promise, uninstall
from poolrace.publishing.promise import Promise

__all__ = ["Promise", "PublishError", "flush", "install", "promise", "uninstall"]
