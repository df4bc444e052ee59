"""Starts Flower for the stack: with a login, and read-only unless the caller allows more."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from producer.stack.passwords import flower_login

if TYPE_CHECKING:
    from collections.abc import Mapping

APP = "worker.app"
"""Named, not imported: Flower takes the broker's URL from it, password and all, without one on its command line."""

APART = Path(sys.prefix) / "flower"
"""Where an environment may keep Flower: each process of Celery loads all plugins that it finds, nodes too."""

DEFAULTS = {
    "FLOWER_READ_ONLY": "true",
    # A task costs Flower about 2 KB, and a race has thousands of them; Flower's own default is 100,000.
    "FLOWER_MAX_TASKS": "10000",
    # The workers send events from their start; without this, Flower asks all of them every five seconds to begin.
    "FLOWER_ENABLE_EVENTS": "false",
    # After a scale-down, what has gone leaves the list of workers.
    "FLOWER_PURGE_OFFLINE_WORKERS": "300",
    "FLOWER_TASKS_COLUMNS": "name,state,worker,received,started,runtime,uuid",
}
"""Options of Flower, by their variables; those that the caller has set stay."""


def is_installed() -> bool:
    """Check whether there is a Flower, apart or where Celery finds it by itself."""
    return (APART / "flower").is_dir() or find_spec("flower") is not None


def with_path(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which Celery finds Flower, if that is kept apart."""
    if not APART.is_dir():
        return dict(environ)
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(APART), environ.get("PYTHONPATH"))))}


def environment(environ: Mapping[str, str], login: tuple[str, str]) -> dict[str, str]:
    """Return the environment of Flower; the login is in it, and so in no command line."""
    given = {name: value for name, value in environ.items() if value}
    return {**DEFAULTS, **with_path(given), "FLOWER_BASIC_AUTH": ":".join(login)}


def start(folder: Path) -> None:
    """
    Replace this process by Flower, so that signals reach it.

    Raises:
        UsageError: If there is no login in the folder.
    """
    command = [sys.executable, "-m", "celery", "-A", APP, "flower"]
    os.execve(sys.executable, command, environment(os.environ, flower_login(folder)))  # noqa: S606 - no shell wanted
