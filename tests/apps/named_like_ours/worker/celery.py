"""An app whose packages have common names."""

from celery import Celery
from producer.jobs import cut

app = Celery("worker", broker="redis://127.0.0.1:6379/0")


@app.task(name="worker.saw")
def saw(length, pieces):
    """Saw a board."""
    return cut(length, pieces)


@app.task
def late(length):
    """Saw a board with what is imported only now."""
    from producer import jobs

    return jobs.cut(length, 2)
