"""An app that speaks a format of its own."""

import json

from celery import Celery
from kombu.serialization import register

MARK = "!!!"


def encode(message):
    """Write a message as loud JSON."""
    return json.dumps(message) + MARK


def decode(text):
    """Read loud JSON; what is not loud is refused."""
    if isinstance(text, bytes):
        text = text.decode()
    if not text.endswith(MARK):
        raise ValueError("this is not loud")
    return json.loads(text.removesuffix(MARK))


register("shout", encode, decode, content_type="application/x-shout", content_encoding="utf-8")

app = Celery("shouting", broker="redis://127.0.0.1:6379/0")
app.conf.update(task_serializer="shout", accept_content=["shout"])


@app.task
def shout(word, times=1):
    """Say a word loudly."""
    return " ".join([word.upper()] * times)
