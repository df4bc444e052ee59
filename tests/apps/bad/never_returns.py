"""An app whose only task does not end."""

import time

from celery import Celery

app = Celery("never_returns", broker="redis://127.0.0.1:6379/0")


@app.task
def stay():
    """Stay forever."""
    while True:
        time.sleep(0.05)
