"""An app that is on the atomic transport by its own settings."""

from celery import Celery

app = Celery("switched", broker="redis://nowhere.invalid/0")
app.conf.broker_transport = "poolrace.transport:Transport"


@app.task(name="switched.nothing")
def nothing():
    return None
