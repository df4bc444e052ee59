"""A Celery app whose jobs note what they do, set up from outside."""

import json
import os
import time

import redis
from celery import Celery
from kombu import Queue
from kombu.common import Broadcast

SETUP = "ERRANDS_SETUP"
DONE = "done"


def make_app(broker, settings):
    """The app; its results are where its jobs are."""
    app = Celery("errands", broker=broker, backend=broker, set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        task_default_queue="errands",
        task_acks_late=True,
        task_send_sent_event=True,
        task_queues=[*(Queue(name) for name in ("errands", "other")), Broadcast("all")],
        worker_send_task_events=True,
        **settings,
    )
    add_tasks(app, redis.Redis.from_url(broker, socket_timeout=None))
    return app


def add_tasks(app, client):
    """All of them, under names that say what they do."""

    def task(**options):
        return lambda function: app.task(name=f"errands.{function.__name__}", shared=False, **options)(function)

    @task()
    def add(x, y):
        return x + y

    @task()
    def total(numbers):
        return sum(numbers)

    @task()
    def fail():
        raise ValueError("as told")

    @task()
    def note(what):
        """Leave a line, and when."""
        client.rpush(DONE, json.dumps([what, time.time()]))

    @task(ignore_result=True)
    def silent():
        return "nobody asks"

    @task()
    def hold(key):
        """Say that it has begun, and run until told."""
        client.rpush(f"{key}.begun", 1)
        client.blpop(key)

    @task(bind=True)
    def again(self):
        """Succeed at the third try."""
        if self.request.retries < 2:
            raise self.retry(countdown=0.1)
        return self.request.retries


if SETUP in os.environ:  # in a node
    app = make_app(*json.loads(os.environ[SETUP]))
