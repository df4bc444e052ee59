"""The Celery app of the demonstration: `celery -A worker.app worker -P threads -c 8`."""

from __future__ import annotations

import os
from functools import partial

from celery import Celery

from poolrace import effects_queue, health, stamping
from worker import drill_jobs, exit_message, settings, tasks

_settings = settings.load(os.environ)

app = Celery("worker")
app.conf.update(settings.celery_config(_settings))
tasks.register(app, _settings)
drill_jobs.register(app, partial(effects_queue.note, app))
stamping.attach(app)
exit_message.attach()
if _settings.health_dir:
    health.attach(app, _settings.health_dir)
