"""An app that sets its transport again when its worker starts, after everybody else."""

from celery import Celery
from celery.signals import celeryd_init

app = Celery("stubborn", broker="redis://nowhere.invalid/0")


@celeryd_init.connect
def insist(conf, **_):
    conf.broker_transport = "redis"


@app.task(name="stubborn.nothing")
def nothing():
    return None
