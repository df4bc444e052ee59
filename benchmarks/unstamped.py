"""The app of `worker.app` without the stamping: `celery -A benchmarks.unstamped worker`."""

from __future__ import annotations

import os

from celery import Celery

from worker import settings, tasks

_settings = settings.load(os.environ)

app = Celery("worker")
app.conf.update(settings.celery_config(_settings))
tasks.register(app, _settings)
