"""
Redirects a user's app in a pool's children that were spawned, not forked.

The settings that `poolrace.ownapp.redirect` changed come with the app; the router that took the place of its own does
not.
"""

from __future__ import annotations

import os
from typing import Any

from celery import current_app, signals
from celery.app import base

from poolrace.ownapp.redirect import VARIABLE, Redirect, redirect_spawned


def _on_process_init(**_: Any) -> None:
    redirect_spawned(current_app, Redirect.from_json(os.environ[VARIABLE]))


if base.USING_EXECV:  # type: ignore[attr-defined] # not in its stubs
    signals.worker_process_init.connect(_on_process_init, weak=False)
