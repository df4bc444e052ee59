"""The app of a node that runs a user's tasks: `celery -A poolrace.ownapp.node worker`."""

from __future__ import annotations

import os

from poolrace.ownapp.redirect import load_redirected_app

app = load_redirected_app(os.environ)
