"""Tasks that get in each other's way on threads: one computes, the other waits."""

import time

from celery import Celery

app = Celery("bakery", broker="redis://127.0.0.1:6379/0")


@app.task
def knead(seconds=0.02):
    """Compute for so many seconds of CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@app.task
def order(seconds=0.005):
    """Wait, as for another service."""
    time.sleep(seconds)
