"""The environment of a user's app: all that the user has set, and nothing that we have."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from producer.plan.lanes import Lane


APP = "worker.app"


_set_aside: dict[str, str] = {}


def set_aside(variables: Mapping[str, str]) -> None:
    """Keep Celery's variables, which this process itself must not obey, for the app that is theirs."""
    _set_aside.update(variables)


def for_app(environ: Mapping[str, str]) -> dict[str, str]:
    """What an app may see: also what was set aside, but not what is meant for Poolrace."""
    theirs = {name: value for name, value in environ.items() if not name.startswith("POOLRACE_")}
    return {**theirs, **_set_aside}


def interpreter(lane: Lane) -> str:
    """The Python that runs a lane's node."""
    return lane.python or sys.executable


def inherited_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would lead a node of ours to somebody else's broker or settings."""
    return {name: value for name, value in environ.items() if not name.startswith(("CELERY_", "POOLRACE_"))}


def source_path(lane: Lane) -> dict[str, str]:
    """Lets another interpreter find our packages, though not what is installed beside them for this one."""
    root = Path(__file__).resolve().parents[2]
    if not lane.python or root.name in {"site-packages", "dist-packages"}:
        return {}
    return {"PYTHONPATH": str(root)}
