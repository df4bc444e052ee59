"""Tasks with limits, and settings that mean something to processes only."""

import os
import time

from celery import Celery
from celery.signals import worker_init, worker_process_init

app = Celery("metered", broker="redis://127.0.0.1:6379/0")
app.conf.update(worker_max_tasks_per_child=20, task_time_limit=30)

prepared = {}


@worker_init.connect
def load_rates(**_):
    """Load what all processes of a worker share; a pool of threads gets no other signal."""
    prepared["rates"] = {"eur": 1.0, "usd": 1.1, "gbp": 0.85}
    prepared["owner"] = os.getpid()


@worker_process_init.connect
def own_process(**_):
    """Make again what a process must have for itself."""
    prepared["owner"] = os.getpid()


@app.task(rate_limit="50/s")
def convert(amount, currency):
    """Convert an amount; what it needs must be this process's own."""
    if prepared["owner"] != os.getpid():
        raise RuntimeError("prepared by another process")
    return amount * prepared["rates"][currency]


@app.task(soft_time_limit=5, time_limit=10)
def wait(duration_s):
    """Wait, far shorter than is allowed."""
    time.sleep(duration_s)
    return len(prepared["rates"])
