"""The Celery app whose nodes run the jobs of drills that start nodes of their own: `celery -A worker.drill worker`."""

from __future__ import annotations

import os
import time
from functools import partial

from celery import Celery

from poolrace import drilling, effects, stamping
from worker import drill_jobs, settings

_note = partial(effects.note, os.environ.get(effects.VARIABLE, ""))

app = Celery("drill")
app.conf.update(settings.celery_config(settings.load(os.environ)))
app.conf.imports = ("worker.drill",)
drilling.apply(app, os.environ)
drilling.note_failures(app, _note)
drill_jobs.register(app, _note)
stamping.attach(app)


@app.task(name="drill.rest", shared=False)
def rest(_identity: str, seconds: float) -> None:
    """Wait as `wait` does, and note nothing: what a note costs is measured against it."""
    time.sleep(seconds)
