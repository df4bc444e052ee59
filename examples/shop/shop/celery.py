"""The shop's Celery app."""

from celery import Celery

app = Celery("shop", include=["shop.tasks"])
app.conf.broker_url = "redis://127.0.0.1:6379/0"
