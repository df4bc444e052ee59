"""
Takes a user's own Celery app into a race: found as `celery -A` finds it, stamped, led to the race's broker and queues.

Nothing in the app's code is changed. What is changed of its settings, and why, is in `TERMS` and in the answer of
`adopt`, so that a manifest can state it.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import threading
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from celery import Celery
from celery.app.utils import find_app

from poolrace import stamping
from poolrace.ownapp.routing import LaneRouter, counterpart, race_queue
from poolrace.transport_setting import SETTING

if TYPE_CHECKING:
    from collections.abc import Mapping

TERMS = "POOLRACE_ADOPT"
"""The environment variable with the `Terms` of a node, as JSON."""

BROKER_VARIABLES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")
"""What Celery obeys before any setting. Set for a node, so that no app of its process can reach another broker."""

BACKEND_VARIABLE = "CELERY_RESULT_BACKEND"

KEPT_TRANSPORT_OPTIONS = ("visibility_timeout",)
"""All others say how to reach the app's own broker, or how its keys are named there."""

_SCHEMES = re.compile(r"[A-Za-z0-9+]+(?=://)")

FRAMES = 3
"""How much of a traceback through the user's own files is shown."""


class AdoptionError(Exception):
    """The app cannot be had. The message is for whoever named it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    On what a node runs a user's app.

    Attributes:
        app: Where it is, as `celery -A` takes it; `module:factory()` calls a factory.
        broker_url: The broker of the race.
        queue: The lane's queue, which stands for the app's default queue.
        acks: `early` or `late`.
        queues: Names of the app's other queues; each has a counterpart in the lane, which the node consumes as well.
        backend_url: Where results go instead of where the app says; None to leave that alone.
        backend_prefix: What the keys of results begin with there, so that they can be found again.
    """

    app: str
    broker_url: str
    queue: str
    acks: str
    queues: tuple[str, ...] = ()
    backend_url: str | None = None
    backend_prefix: str = ""

    def to_json(self) -> str:
        """For `TERMS`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        said = json.loads(text)
        return cls(**{**said, "queues": tuple(said["queues"])})

    def variables(self) -> dict[str, str]:
        """What a node's environment says besides the user's."""
        backend = {} if self.backend_url is None else {BACKEND_VARIABLE: self.backend_url}
        return {TERMS: self.to_json(), **dict.fromkeys(BROKER_VARIABLES, self.broker_url), **backend}


def find(path: str) -> Celery:
    """
    The app of a name, imported from the current folder.

    Args:
        path: `shop.celery:app`, `shop`, `shop.celery`, or `shop.factory:make()`; what it names may also be a Flask app
            with the Celery app among its extensions.

    Raises:
        AdoptionError: If it cannot be imported, or is none.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = _named(path)
    except Exception as error:
        raise AdoptionError(f"{path} cannot be imported from {here}: {told(error, here)}") from error
    found = getattr(found, "extensions", {}).get("celery", found) if not isinstance(found, Celery) else found
    if not isinstance(found, Celery):
        raise AdoptionError(
            f"{path} is no Celery app but {type(found).__name__} {found!r:.60}. Name it as `celery -A` takes it, "
            "e.g. shop.celery:app; a function that makes it, as shop.factory:make()."
        )
    return found


def _named(path: str) -> Any:
    module, separator, name = path.removesuffix("()").partition(":")
    if path.endswith("()"):
        return getattr(importlib.import_module(module), name)()
    if separator:
        # Celery would take the whole for a module's name, and say that there is none.
        getattr(importlib.import_module(module), name)
    return find_app(path)


def told(error: BaseException, folder: str) -> str:
    """An error with the last of the user's own lines that led to it, and none of ours."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(folder + os.sep)
    ]
    lines = "".join(
        f"\n    {os.path.relpath(frame.filename, folder)}:{frame.lineno}: {frame.line}" for frame in frames[-FRAMES:]
    )
    return f"{type(error).__name__}: {error}{lines}"


def adopt(app: Celery, terms: Terms) -> dict[str, str]:
    """
    Lead an app to the race's broker and queues, and have its nodes stamp jobs.

    Returns:
        What was changed, by setting: from what to what, without passwords.

    Raises:
        AdoptionError: If the app does not let itself be led.
    """
    settings = led_settings(app.conf, terms)
    changed = {
        name: f"{_shown(name, before)} -> {_shown(name, value)}"
        for name, value in settings.items()
        if _differ(before := app.conf.get(name), value)
    }
    router = LaneRouter(app, terms.queue, terms.queues)
    app.conf.update(settings)
    for name, value in settings.items():
        if app.conf.get(name) != value:
            raise AdoptionError(f"{name} of the app cannot be set; it stays {_shown(name, app.conf.get(name))}.")
    _lead(app, router)
    stamping.attach(app)
    return changed


def _differ(before: Any, after: Any) -> bool:
    """A list for a tuple, or one way of nothing for another, is no change."""
    if isinstance(before, list | tuple) and isinstance(after, list | tuple):
        return list(before) != list(after)
    return bool(before or after) and before != after


def led_settings(conf: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    """The settings that an app has in a race, whatever it says itself."""
    options = conf.get("broker_transport_options") or {}
    settings: dict[str, Any] = {
        "broker_url": terms.broker_url,
        "broker_read_url": terms.broker_url,
        "broker_write_url": terms.broker_url,
        "broker_use_ssl": None,
        # The lane's transport is on the node's command line, which comes after this.
        SETTING: None,
        "broker_transport_options": {name: options[name] for name in KEPT_TRANSPORT_OPTIONS if name in options},
        "task_default_queue": terms.queue,
        "task_default_exchange": terms.queue,
        "task_default_exchange_type": "direct",
        "task_default_routing_key": terms.queue,
        "task_default_queue_type": "classic",
        "task_queues": [race_queue(counterpart(terms.queue, own)) for own in ("", *terms.queues)],
        "task_routes": None,
        "task_create_missing_queues": True,
        "task_always_eager": False,
        "task_acks_late": terms.acks == "late",
        # The race's own commands and its proof of every slot are JSON.
        "accept_content": _with_json(conf.get("accept_content")),
        "worker_enable_remote_control": True,
        "worker_direct": False,
    }
    if terms.backend_url is not None:
        settings |= {
            "result_backend": terms.backend_url,
            "result_backend_transport_options": {"global_keyprefix": terms.backend_prefix},
        }
    return settings


def _with_json(accepted: Any) -> list[str]:
    kept = list(accepted or ())
    return kept if {"json", "application/json"} & set(kept) else [*kept, "json"]


def _shown(name: str, value: Any) -> str:
    """A setting's value; of what may hold a password no more than how a broker or backend is reached."""
    if name.endswith(("_options", "_ssl")):
        return ", ".join(sorted(value)) if isinstance(value, dict) and value else "nothing"
    return ", ".join(_SCHEMES.findall(repr(value))) or repr(value)


def _lead(app: Any, router: LaneRouter) -> None:
    # An app may have been used while it was imported, and then keeps what leads to its own broker and backend.
    app._pool = None  # noqa: SLF001 - Celery has no other name for it
    app._backend_cache = None  # noqa: SLF001 - Celery has no other name for it
    app._local = threading.local()  # noqa: SLF001 - Celery has no other name for it
    app.amqp._producer_pool = None  # noqa: SLF001 - Celery has no other name for it
    app.amqp.queues = app.amqp.Queues(app.conf.task_queues)
    app.amqp.router = router
    # Answers to commands would be in the app's own serialiser, which only the app knows.
    app.control.mailbox.serializer = "json"


def adopted(environ: Mapping[str, str]) -> Celery:
    """
    The app that a node runs, taken in on the terms of its environment.

    Raises:
        AdoptionError: If it cannot be had.
    """
    terms = Terms.from_json(environ[TERMS])
    app = find(terms.app)
    adopt(app, terms)
    return app
