"""
Stores the results of a Redis backend in steps, under load; otherwise as Celery does, with one command in place of five.

    from poolrace import results
    results.install()

or, of a node alone, `celery -A shop.celery:app worker -I poolrace.results.installed`. `uninstall()` takes it out again.
docs/results.md has what it promises and what it does not.
"""

from __future__ import annotations

from celery.app import backends

__all__ = ["install", "is_installed", "uninstall"]

_OURS = {
    "redis": "poolrace.results.backend:Backend",
    "rediss": "poolrace.results.backend:Backend",
    "sentinel": "poolrace.results.backend:SentinelBackend",
}
_CELERYS = {name: backends.BACKEND_ALIASES[name] for name in _OURS}


def install() -> None:
    """
    Have every backend of this process use it that is made from now on for `redis://`, `rediss://` or `sentinel://`.

    Call it where the app is made, or have a node import `poolrace.results.installed`.

    Raises:
        ImportError: If Celery is of a version that it does not fit; the message says what is missing.
    """
    from poolrace.results.backend import check_celery

    check_celery()
    _point_at(_OURS)


def uninstall() -> None:
    """Have backends use Celery's own way again; what was gathered is stored first."""
    from poolrace.results.backend import flush_all

    _point_at(_CELERYS)
    flush_all()


def is_installed() -> bool:
    """Return whether backends are made with it."""
    return backends.BACKEND_ALIASES["redis"] == _OURS["redis"]


def _point_at(paths: dict[str, str]) -> None:
    from celery._state import _get_active_apps  # type: ignore[attr-defined] # not in its stubs

    backends.BACKEND_ALIASES.update(paths)
    for app in _get_active_apps():
        # A backend that the app has made before; one of another thread stays, and stores as it did.
        app._backend_cache = None
        app._local.__dict__.pop("backend", None)
