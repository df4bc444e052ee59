"""Starts Flower for the stack: nobody gets in without the login, and nobody changes anything unless told they may."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from producer.stack.passwords import flower_login

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

APP = "worker.app"
"""Named, not imported: Flower takes the broker's URL from it, password and all, without one on its command line."""

DEFAULTS = {
    "FLOWER_READ_ONLY": "true",
    # A task costs Flower about 2 KB, and a race has thousands of them; Flower's own default is 100,000.
    "FLOWER_MAX_TASKS": "10000",
    # The workers send events from their start. Asking all of them every five seconds to begin is for those that do not.
    "FLOWER_ENABLE_EVENTS": "false",
    # After a scale-down, what has gone leaves the list of workers.
    "FLOWER_PURGE_OFFLINE_WORKERS": "300",
    "FLOWER_TASKS_COLUMNS": "name,state,worker,received,started,runtime,uuid",
}
"""Flower reads its options from variables of these names; one that the caller has set is left as it is."""


def environment(environ: Mapping[str, str], login: tuple[str, str]) -> dict[str, str]:
    """The environment that Flower runs in; the login is in it, and so in no command line."""
    given = {name: value for name, value in environ.items() if value}
    return {**DEFAULTS, **given, "FLOWER_BASIC_AUTH": ":".join(login)}


def start(folder: Path) -> None:
    """
    Become Flower: this process is replaced, so that signals reach it.

    Raises:
        UsageError: If there is no login in the folder.
    """
    command = [sys.executable, "-m", "celery", "-A", APP, "flower"]
    os.execve(sys.executable, command, environment(os.environ, flower_login(folder)))  # noqa: S606 - no shell wanted
