"""
Points a user's own Celery app at a race: loads it as `celery -A` does, stamps it, and replaces its broker and queues.

Nothing in the app's code is changed. `redirect_app` returns the settings that it changed, so that a manifest can state
them.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pickle
import re
import sys
import threading
import traceback
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.process import current_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from celery import Celery, signals
from celery.app.utils import find_app

from poolrace import stamping, transport
from poolrace.ownapp.routing import LaneRouter, counterpart, race_queue
from poolrace.pools import FORKING
from poolrace.stamping import AS_EACH_TASK
from poolrace.transport_setting import SETTING

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "POOLRACE_REDIRECT"
"""The environment variable with the `Redirect` of a node, as JSON."""

BROKER_VARIABLES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")
"""Variables that overrule any setting. Set for a node, so that no app of its process can reach another broker."""

BACKEND_VARIABLE = "CELERY_RESULT_BACKEND"

KEPT_TRANSPORT_OPTIONS = ("visibility_timeout",)
"""All others say how to reach the app's own broker, or how its keys are named there."""

_MAKER = re.compile("(^|_)(app|celery)(_|$)", re.IGNORECASE)
"""In the names of functions that may make an app."""

_SCHEMES = re.compile(r"[A-Za-z0-9+]+(?=://)")

ROUTING = (
    "task_routes",
    "task_queues",
    "task_default_queue",
    "task_default_exchange",
    "task_default_exchange_type",
    "task_default_routing_key",
    "task_create_missing_queues",
)
"""The settings of an app that say where its jobs go."""

OWN_ROUTING = "poolrace_own_routing"
"""The setting that keeps them as the app had them, for children that are spawned."""

IN_SPAWNED = "poolrace.ownapp.spawned"
"""The module that redirects an app in a child that was spawned."""

SPAWN = "spawn"

OURS = str(Path(__file__).parents[1]) + os.sep
"""Where our own files are, which no error about a user's app shows."""

MAX_FRAMES = 3
"""The most lines of the user's own files that an error shows."""


class OwnAppError(Exception):
    """An app that cannot be raced. The message is for the user who named it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """
    The broker and queues that a user's app is pointed at.

    Attributes:
        app: The app's place, as `celery -A` takes it; `module:factory()` calls a factory.
        broker_url: The broker of the race.
        queue: The lane's queue, which stands for the app's default queue.
        acks: `early` or `late`, of every task; or `own`, as each task has it.
        queues: Names of the app's other queues; each has a counterpart in the lane, which the node consumes as well.
        backend_url: The result backend to use instead of the app's; None to keep the app's.
        backend_prefix: A prefix of the keys of results there, so that they can be found again.
        folder: The folder in which a node's pool makes its shared memory, which stays if the node is killed; empty for
            one of the system's.
    """

    app: str
    broker_url: str
    queue: str
    acks: str
    queues: tuple[str, ...] = ()
    backend_url: str | None = None
    backend_prefix: str = ""
    folder: str = ""

    def to_json(self) -> str:
        """Return the value of `VARIABLE`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the value of `VARIABLE`."""
        fields = json.loads(text)
        return cls(**{**fields, "queues": tuple(fields["queues"])})

    def environment(self) -> dict[str, str]:
        """Return the variables that a node's environment has besides the user's."""
        backend = {} if self.backend_url is None else {BACKEND_VARIABLE: self.backend_url}
        return {VARIABLE: self.to_json(), **dict.fromkeys(BROKER_VARIABLES, self.broker_url), **backend}


def load_app(path: str) -> Celery:
    """
    Import an app by its name, from the current folder.

    Args:
        path: `shop.celery:app`, `shop`, `shop.celery`, or `shop.factory:make()`; it may also name a Flask app that has
            the Celery app among its extensions.

    Raises:
        OwnAppError: If it cannot be imported, or is no Celery app.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = _import_named(path)
    except Exception as error:
        raise OwnAppError(f"{path} cannot be imported from {here}: {explain(error, here)}{_hint(path)}") from error
    found = getattr(found, "extensions", {}).get("celery", found) if not isinstance(found, Celery) else found
    if not isinstance(found, Celery):
        raise OwnAppError(
            f"{path} is no Celery app but {type(found).__name__} {found!r:.60}. Name it as `celery -A` takes it, "
            f"e.g. shop.celery:app; a function that makes it, as shop.factory:make().{_hint(path)}"
        )
    return found


def _hint(path: str) -> str:
    """Return how an app may be meant that was not found: by a file's name, or as what a function makes."""
    if path.endswith("()"):
        return ""
    if path.endswith(".py") or os.sep in path:
        return "\n    That is a file's name. Name the module, as shop.celery:app, and its folder with --workdir."
    name = path.partition(":")[0].removesuffix("()")
    members = vars(sys.modules[name]) if name in sys.modules else {}
    makers = (
        key
        for key, value in members.items()
        if inspect.isfunction(value) and value.__module__ == name and _MAKER.search(key)
    )
    return "".join(f"\n    If {key} makes the app: {name}:{key}()." for key in makers)


def _import_named(path: str) -> Any:
    module, separator, name = path.removesuffix("()").partition(":")
    if path.endswith("()"):
        return getattr(importlib.import_module(module), name)()
    if separator:
        # Celery would take the whole for a module's name, and report that there is no such module.
        getattr(importlib.import_module(module), name)
    return find_app(path)


def explain(error: BaseException, folder: str) -> str:
    """Describe an error, with the last lines of the user's own files that led to it and none of Poolrace's."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        # Our own files lie in the user's folder, too, if that is a checkout of ours.
        if frame.filename.startswith(folder + os.sep) and not frame.filename.startswith(OURS)
    ]
    lines = "".join(
        f"\n    {os.path.relpath(frame.filename, folder)}:{frame.lineno}: {frame.line}"
        for frame in frames[-MAX_FRAMES:]
    )
    return f"{type(error).__name__}: {error}{lines}"


def redirect_app(app: Celery, to: Redirect) -> dict[str, str]:
    """
    Point an app at the race's broker and queues, and have its nodes stamp jobs.

    Returns:
        Each changed setting with its old and new value, without passwords.

    Raises:
        OwnAppError: If the app keeps a setting of its own.
    """
    settings = redirected_settings(app.conf, to)
    changed = {
        name: f"{_without_secrets(name, before)} -> {_without_secrets(name, value)}"
        for name, value in settings.items()
        if _is_changed(before := app.conf.get(name), value)
    }
    router = LaneRouter(app, to.queue, to.queues)
    app.conf[OWN_ROUTING] = app.conf.get(OWN_ROUTING) or {name: app.conf.get(name) for name in ROUTING}
    app.conf.update(settings)
    for name, value in settings.items():
        if app.conf.get(name) != value:
            raise OwnAppError(
                f"{name} of the app cannot be set; it stays {_without_secrets(name, app.conf.get(name))}."
            )
    transport.uninstall()  # which an app may have installed; the lane's is on the command line
    _replace_connections(app, router)
    stamping.attach(app)
    signals.worker_init.connect(_hand_on_to_spawned, weak=False)
    if to.acks != AS_EACH_TASK:
        signals.worker_init.connect(partial(_set_acks, late=to.acks == "late"), weak=False)
    return changed


def redirect_spawned(app: Any, to: Redirect) -> None:
    """Have jobs that a spawned child sends go where the node's would; its other settings came with its app."""
    original = Celery(set_as_current=False, changes=app.conf[OWN_ROUTING])
    app.amqp.router = LaneRouter(original, to.queue, to.queues)


def _hand_on_to_spawned(sender: Any, **_: Any) -> None:
    if getattr(sender, "pool_start_method", None) != SPAWN:
        return
    try:
        pickle.dumps(sender.app.conf[OWN_ROUTING])
    except Exception as error:
        raise SystemExit(
            f"start={SPAWN}: a new interpreter cannot be given the app's queues and routes: {error}. Name functions "
            "in task_routes by their path, e.g. 'shop.routes.by_size'."
        ) from error
    stamping.import_in_spawned(sender.app, IN_SPAWNED)


def _set_acks(sender: Any, *, late: bool, **_: Any) -> None:
    """Have every task acknowledge as the run says: an attribute of a task overrules the setting."""
    for task in sender.app.tasks.values():
        task.acks_late = late


def _is_changed(before: Any, after: Any) -> bool:
    """Check whether a setting changes; a list for a tuple, or None for an empty value, is no change."""
    if isinstance(before, list | tuple) and isinstance(after, list | tuple):
        return list(before) != list(after)
    return bool(before or after) and before != after


def redirected_settings(conf: Mapping[str, Any], to: Redirect) -> dict[str, Any]:
    """Return the settings that an app has in a race, whatever its own are."""
    options = conf.get("broker_transport_options") or {}
    settings: dict[str, Any] = {
        "broker_url": to.broker_url,
        "broker_read_url": to.broker_url,
        "broker_write_url": to.broker_url,
        "broker_use_ssl": None,
        # The lane's transport is on the node's command line, which comes after this.
        SETTING: None,
        "broker_transport_options": {name: options[name] for name in KEPT_TRANSPORT_OPTIONS if name in options},
        "task_default_queue": to.queue,
        "task_default_exchange": to.queue,
        "task_default_exchange_type": "direct",
        "task_default_routing_key": to.queue,
        "task_default_queue_type": "classic",
        "task_queues": [race_queue(counterpart(to.queue, own)) for own in ("", *to.queues)],
        "task_routes": None,
        "task_create_missing_queues": True,
        "task_always_eager": False,
        "task_acks_late": to.acks == "late",
        # The race's own commands and its proof of every slot are JSON.
        "accept_content": _with_json(conf.get("accept_content")),
        "worker_enable_remote_control": True,
        "worker_direct": False,
        # The run speaks to its nodes over these, Celery's own defaults.
        "control_exchange": "celery",
        "event_exchange": "celeryev",
        # It overrules `-P prefork`, which Celery cannot tell from its default.
        "worker_pool": FORKING,
        # A file of the app's own nodes, in which they remember what was revoked.
        "worker_state_db": None,
    }
    if to.acks == AS_EACH_TASK:
        del settings["task_acks_late"]
    if to.backend_url is not None:
        settings |= {
            "result_backend": to.backend_url,
            "result_backend_transport_options": {"global_keyprefix": to.backend_prefix},
        }
    return settings


def _with_json(accepted: Any) -> list[str]:
    kept = list(accepted or ())
    return kept if {"json", "application/json"} & set(kept) else [*kept, "json"]


def _without_secrets(name: str, value: Any) -> str:
    """Show a setting's value; of one that may hold a password, only the kind of broker or backend."""
    if name.endswith(("_options", "_ssl")):
        return ", ".join(sorted(value)) if isinstance(value, dict) and value else "nothing"
    return ", ".join(_SCHEMES.findall(repr(value))) or repr(value)


def _replace_connections(app: Any, router: LaneRouter) -> None:
    # An app may have been used while it was imported, and then keeps connections to its own broker and backend.
    app.__dict__.pop("control", None)  # made with the app's own exchange
    app._pool = None  # noqa: SLF001 - Celery has no other name for it
    app._backend_cache = None  # noqa: SLF001 - Celery has no other name for it
    app._local = threading.local()  # noqa: SLF001 - Celery has no other name for it
    app.amqp._producer_pool = None  # noqa: SLF001 - Celery has no other name for it
    app.amqp.queues = app.amqp.Queues(app.conf.task_queues)
    app.amqp.router = router
    # Answers to commands would be in the app's own serialiser, which only the app knows.
    app.control.mailbox.serializer = "json"


def load_redirected_app(environ: Mapping[str, str]) -> Celery:
    """
    Load the app that a node runs, and point it where its environment says.

    Raises:
        OwnAppError: If it cannot be imported or redirected.
    """
    to = Redirect.from_json(environ[VARIABLE])
    if to.folder:
        # Where `multiprocessing` looks first; billiard asks it. TMPDIR would change where the user's tasks write.
        current_process()._config["tempdir"] = to.folder  # type: ignore[attr-defined] # noqa: SLF001
    app = load_app(to.app)
    redirect_app(app, to)
    return app
