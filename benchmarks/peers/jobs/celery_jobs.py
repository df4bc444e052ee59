"""Jobs of Celery: `celery -A celery_jobs worker`, and `python celery_jobs.py NUMBER` sends them."""

from __future__ import annotations

import os
import sys

from celery import Celery
from noting import note

from poolrace import publishing

app = Celery("celery_jobs", broker=os.environ["PEER_URL"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task(name="noop")
def noop() -> None:
    """Do nothing."""
    note()


if __name__ == "__main__":
    publishing.install(app)
    for _ in range(int(sys.argv[1])):
        noop.apply_async()
    publishing.flush(app)
