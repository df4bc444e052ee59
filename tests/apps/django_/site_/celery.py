"""The project's Celery app, by the usual recipe."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings")

app = Celery("site_")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
