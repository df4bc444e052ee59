"""An app whose settings name a pool, exchanges and a state file of its own; its tasks acknowledge as they like."""

import os
import time

import redis
from celery import Celery

BROKER = os.environ.get("CELERY_BROKER_URL", "redis://production.invalid:6399/0")
locks = redis.Redis.from_url(BROKER)

app = Celery("billing", broker=BROKER)
app.conf.update(
    worker_pool="threads",
    control_exchange="billing",
    event_exchange="billing.events",
    worker_state_db="billing.state",
    worker_disable_prefetch=True,
)


@app.task(name="billing.invoice", acks_late=True)
def invoice(number):
    """Wait as for a database."""
    time.sleep(0.02)


@app.task(name="billing.remind", acks_late=False)
def remind(number):
    """Wait as for a mail server."""
    time.sleep(0.02)
