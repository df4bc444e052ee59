"""A task that keeps memory of each of its jobs, and one that keeps nothing."""

import time

from celery import Celery

app = Celery("leaky", broker="redis://127.0.0.1:6379/0")
held = []


@app.task
def leaks():
    """Keep 20,000 bytes."""
    held.append(bytearray(b"x") * 20_000)
    time.sleep(0.02)


@app.task
def clean():
    """Keep nothing."""
    time.sleep(0.02)
