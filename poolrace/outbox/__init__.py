"""
Remembers jobs until a node has settled them, and sends again those that were lost: for any Celery app.

    from poolrace.outbox import Outbox
    outbox = Outbox(app, "outbox.sqlite3")       # where jobs are sent
    outbox.send(charge.s(order))
    outbox.send_again(after_s=60)                # now and then, e.g. every minute

    from poolrace import outbox
    outbox.settle_on(app, "outbox.sqlite3")      # where the app is made, so that nodes settle

A job is written down before it is sent, and crossed out when it has succeeded or failed on a node. What is never
crossed out, because the broker or a node lost it, is sent again under the same id: so a job may run twice, and none is
lost while the outbox is there.
"""

from __future__ import annotations

from poolrace.outbox.outbox import Outbox, settle_on
from poolrace.outbox.store import OutboxError

__all__ = ["Outbox", "OutboxError", "settle_on"]
