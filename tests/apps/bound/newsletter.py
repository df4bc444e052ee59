"""Tasks that know their request, ask for retries, and come from classes."""

import zlib

from celery import Celery, Task

app = Celery("newsletter", broker="redis://127.0.0.1:6379/0")


class NotYetError(Exception):
    """What a first attempt fails with."""


class CountedTask(Task):
    """A task that knows how many of its runs went well in this process."""

    went_well = 0

    def on_success(self, *_):
        type(self).went_well += 1


class Checksum(Task):
    """A task that is a class."""

    name = "newsletter.checksum"

    def run(self, text):
        return zlib.crc32(text.encode())


app.register_task(Checksum())


@app.task(bind=True, max_retries=3)
def deliver(self, address):
    """Fail on the first attempt, succeed on the second."""
    if self.request.retries == 0:
        raise self.retry(countdown=0.05, max_retries=3)
    return f"{address} by {self.request.id}"


@app.task(bind=True, autoretry_for=(NotYetError,), default_retry_delay=0.05, max_retries=3)
def confirm(self, address):
    """Leave the retry to Celery."""
    if self.request.retries == 0:
        raise NotYetError(address)
    return address


@app.task(base=CountedTask, bind=True)
def count(self, address):
    """Return how many went well before."""
    return {"address": address, "before": self.went_well, "queue": self.request.delivery_info["routing_key"]}
