"""The Celery app of the demonstration: `celery -A worker.app worker -P threads -c 8`."""

from __future__ import annotations

import os

from celery import Celery

from poolrace import health, stamping
from worker import exit_message, settings, tasks

_settings = settings.load(os.environ)

app = Celery("worker")
app.conf.update(settings.celery_config(_settings))
tasks.register(app, _settings)
stamping.attach(app)
exit_message.attach()
if _settings.health_dir:
    health.attach(app, _settings.health_dir)
