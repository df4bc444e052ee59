"""The app of a node of a drill that runs a user's tasks: `celery -A poolrace.ownapp.drilled worker`."""

from __future__ import annotations

import os

from poolrace import drilling, effects
from poolrace.ownapp.redirect import load_redirected_app

app = load_redirected_app(os.environ)
drilling.apply(app, os.environ)
drilling.note_jobs(app, os.environ[effects.VARIABLE])
