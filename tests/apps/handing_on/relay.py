"""Tasks that end by handing on: to another task, to a chain, to a group."""

import time

from celery import Celery, chain, group

app = Celery("relay", broker="redis://127.0.0.1:6379/0", backend="redis://127.0.0.1:6379/0")


@app.task
def work(seconds=0.01):
    """Work for a moment."""
    time.sleep(seconds)


@app.task(bind=True)
def to_task(self):
    """Go on as another task."""
    raise self.replace(work.si())


@app.task(bind=True)
def to_chain(self):
    """Go on as a chain."""
    raise self.replace(chain(work.si(), work.si()))


@app.task(bind=True)
def to_group(self):
    """Go on as a group."""
    raise self.replace(group(work.si(), work.si()))
