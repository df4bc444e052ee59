"""The environments of the processes that we start: a user's app sees what the user set, our nodes do not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


APP = "worker.app"


def app_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a user's app: all that the user has set, except what is meant for Poolrace."""
    return {name: value for name, value in environ.items() if not name.startswith("POOLRACE_")}


def inherited_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables that would point a node at another broker or settings."""
    return {name: value for name, value in environ.items() if not name.startswith(("CELERY_", "POOLRACE_"))}


def interpreter(python: str) -> str:
    """
    Return the Python that runs a node: the one that is named, or the one that runs this command.

    A path is as seen from the current folder; nodes run in another one. Links are kept: a venv is known by its own.
    """
    if os.sep not in python:
        return python or sys.executable
    return os.path.abspath(os.path.expanduser(python))  # noqa: PTH100, PTH111 - `resolve` would follow links


def source_path(python: str) -> dict[str, str]:
    """Return the variable that lets another interpreter find our packages, but not what is installed beside them."""
    root = Path(__file__).resolve().parents[2]
    if not python or root.name in {"site-packages", "dist-packages"}:
        return {}
    return {"PYTHONPATH": str(root)}
