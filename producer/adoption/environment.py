"""The environment of a user's app: all that the user has set, and nothing that we have."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_set_aside: dict[str, str] = {}


def set_aside(variables: Mapping[str, str]) -> None:
    """Keep Celery's variables, which this process itself must not obey, for the app that is theirs."""
    _set_aside.update(variables)


def for_app(environ: Mapping[str, str]) -> dict[str, str]:
    """What an app may see: also what was set aside, but not what is meant for Poolrace."""
    theirs = {name: value for name, value in environ.items() if not name.startswith("POOLRACE_")}
    return {**theirs, **_set_aside}
