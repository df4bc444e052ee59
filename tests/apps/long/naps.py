"""A task that takes its time."""

import time

from celery import Celery

app = Celery("naps", broker="redis://127.0.0.1:6379/0")


@app.task
def nap(seconds=1.5):
    """Sleep."""
    time.sleep(seconds)
