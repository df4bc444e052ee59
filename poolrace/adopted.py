"""The app of a node that runs a user's tasks: `celery -A poolrace.adopted worker`, with terms in the environment."""

from __future__ import annotations

import os

from poolrace.adopting import adopted

app = adopted(os.environ)
