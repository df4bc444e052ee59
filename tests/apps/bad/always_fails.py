"""An app whose only task fails."""

from celery import Celery

app = Celery("always_fails", broker="redis://127.0.0.1:6379/0")


@app.task
def fail(reason="wrong on purpose"):
    """Fail."""
    raise ValueError(reason)
