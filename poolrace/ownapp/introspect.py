"""
Describes a user's app from within, in a process of its own: `python -m poolrace.ownapp.introspect`.

The question and the answer are JSON, on standard input and output; the app's own output goes to standard error. Jobs
are made into messages here, since only the app knows its serialisers and its tasks' options.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery.canvas import Signature

from poolrace.ownapp.hazards import hazards
from poolrace.ownapp.messages import MessageMaker, check_names
from poolrace.ownapp.redirect import OwnAppError, Redirect, explain, load_app, redirect_app
from poolrace.ownapp.routing import own_queues
from poolrace.ownapp.shared_globals import written_globals
from poolrace.pools import POOLS, inert_settings
from poolrace.stamping import NOT_OWN, acks_of
from poolrace.transport import is_installed
from poolrace.transport_setting import ATOMIC, transport_of

HOW_REACHED = (
    "broker_use_ssl",
    "broker_transport_options",
    "broker_login_method",
    "event_exchange",
    "event_exchange_type",
    "event_serializer",
)
"""Settings without which an app's broker is not reached as the app reaches it, or its events are not heard."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from celery import Celery


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """
    Describe an app, and make its jobs into messages.

    Args:
        question: `redirect`, the fields of a `Redirect`; `jobs`, as dictionaries of a job file with their `line`, or
            `factory`, `count` and `seed`; `tasks` to keep, or none for all; `own_backend`, the result backend that the
            user's environment names, or an empty text.

    Raises:
        OwnAppError: If the app, the factory or a job cannot be used; the message names the place.
    """
    app = load_app(question["redirect"]["app"])
    app.finalize()
    # `imports`, autodiscovery and the like, which Celery heeds only here.
    _load_modules(app)
    own = {pool: [*_inert(pool, app.conf), *_about_prefetch(app.conf)] for pool in POOLS}
    facts = _facts(app, question["own_backend"])
    jobs = list(_jobs_of_factory(question) if question.get("factory") else question["jobs"])
    queues = own_queues(app, (job.get("queue") for job in jobs))
    changed = redirect_app(app, Redirect(**{**question["redirect"], "queues": queues}))
    wanted = question.get("tasks") or ()
    check_names(app, wanted)
    maker = MessageMaker(app)
    chosen = [job for job in jobs if not wanted or _task_name(job) in wanted]
    if not chosen:
        raise OwnAppError(f"no job of {', '.join(wanted)}: the jobs are of {', '.join(_task_names(jobs))}.")
    return {
        **facts,
        "queues": list(queues),
        "changed": changed,
        "inert": own,
        "hazards": {pool: [f"{h.module}: {h.warning}" for h in hazards(pool, sys.modules)] for pool in POOLS},
        "messages": [maker.message(job) for job in chosen],
        "globals": written_globals(app, [job for job in chosen if job.get("repeatable")]),
    }


def broker_of(path: str) -> dict[str, Any]:
    """
    Return the broker of an app's own settings, with its password: its URLs, and how it is reached.

    Raises:
        OwnAppError: If a setting holds something that is not plain, such as a function.
    """
    conf: Any = load_app(path).conf
    return {"broker_urls": _broker_urls(conf), "settings": {name: _plain(conf, name) for name in HOW_REACHED}}


def settings_of(path: str, names: Iterable[str]) -> dict[str, Any]:
    """
    Return what an app has for some settings, the tasks that switch one of them off for themselves, and its broker.

    Raises:
        OwnAppError: If the app cannot be imported.
    """
    app = load_app(path)
    app.finalize()
    _load_modules(app)
    conf: Any = app.conf
    named = {name: conf.get(name) for name in names}
    overruled = {
        attribute: sorted(
            name
            for name, task in app.tasks.items()
            # Where the setting is off, a task that is off has not said so itself.
            if not name.startswith(NOT_OWN) and conf.get(f"task_{attribute}") and not getattr(task, attribute)
        )
        for attribute in ("acks_late", "reject_on_worker_lost")
    }
    # What is not plain is told as it looks.
    settings = {name: value if isinstance(value, int | str | None) else repr(value) for name, value in named.items()}
    return {
        "settings": settings,
        "overruled": {f"task_{name}": tasks for name, tasks in overruled.items()},
        "broker": _broker_urls(conf)[0],
    }


def _broker_urls(conf: Any) -> list[str]:
    """Return the URLs of an app's broker, by its own settings."""
    return _urls(conf.first("broker_read_url", "broker_url", "broker_host") or "")


def _urls(found: Any) -> list[str]:
    """Return the URLs of a setting that may have several, as a list or with semicolons between."""
    return [str(url) for url in (found if isinstance(found, list | tuple) else str(found).split(";"))]


def _plain(conf: Any, name: str) -> Any:
    try:
        return json.loads(json.dumps(conf.get(name)))
    except (TypeError, ValueError) as error:
        raise OwnAppError(
            f"{name} of the app's settings cannot be handed on: {error}. Name the broker: --broker."
        ) from error


def _inert(pool: str, conf: Any) -> list[str]:
    return [warning.consequence for warning in inert_settings(pool, conf)]


def _about_prefetch(conf: Any) -> list[str]:
    found = []
    if conf.get("worker_disable_prefetch"):
        found.append("worker_disable_prefetch = True: a node takes no job before a slot is free.")
    if conf.worker_prefetch_multiplier == 0:
        found.append(
            "worker_prefetch_multiplier = 0: a node takes every job that waits. A lane has a limit: this run its own."
        )
    return found


def _load_modules(app: Celery) -> None:
    try:
        app.loader.import_default_modules()
    except Exception as error:
        raise OwnAppError(f"the app's tasks cannot be imported: {explain(error, str(Path.cwd()))}") from error


def _facts(app: Celery, own_backend: str) -> dict[str, Any]:
    conf: Any = app.conf
    # From the settings, and not from the environment, which points this process at a broker in memory.
    schemes = [url.partition("://")[0] for url in _urls(conf.first("broker_url", "broker_host") or "")]
    backend = own_backend or str(conf.first("result_backend", "CELERY_RESULT_BACKEND") or "")
    return {
        "tasks": sorted(name for name in app.tasks if not name.startswith(("celery.", "poolrace."))),
        "broker_scheme": ", ".join(dict.fromkeys(schemes)) or "amqp",
        "backend_scheme": backend.partition("://")[0],
        "acks": acks_of(task for name, task in app.tasks.items() if not name.startswith(NOT_OWN)),
        "worker_pool": str(conf.worker_pool or ""),
        "transport": ATOMIC if is_installed() else transport_of(conf.broker_transport),
        "prefetch": conf.worker_prefetch_multiplier,
        "max_memory_kib": conf.worker_max_memory_per_child,
        "concurrency": conf.worker_concurrency,
        "default_queue": conf.task_default_queue,
        "python": sys.version.split()[0],
        "folder": str(Path.cwd()),
    }


def _jobs_of_factory(question: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Make jobs with the user's own factory."""
    path = question["factory"]
    module, _, name = path.partition(":")
    try:
        make = getattr(importlib.import_module(module), name)
        chance = random.Random(question["seed"])  # noqa: S311 - draws jobs, keeps no secret
        made = [make(number, chance) for number in range(question["count"])]
    except Exception as error:
        raise OwnAppError(f"--jobs {path}: {explain(error, str(Path.cwd()))}") from error
    for number, job in enumerate(made):
        yield {**_as_job(job, f"--jobs {path}: call {number}"), "line": f"{path}({number})"}


def _as_job(made: Any, where: str) -> dict[str, Any]:
    if isinstance(made, Signature):
        options = {"queue": made.options["queue"]} if made.options.get("queue") else {}
        return {"task": made.task, "args": list(made.args), "kwargs": dict(made.kwargs), "signature": made, **options}
    if isinstance(made, dict) and isinstance(made.get("task"), str):
        return made
    raise OwnAppError(
        f"{where} gave {made!r:.60}. Allowed: a signature such as resize.s(640), or a dictionary such as "
        '{"task": "shop.tasks.resize", "args": [640]}.'
    )


def _task_names(jobs: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted(set(map(_task_name, jobs)))


def _task_name(job: Mapping[str, Any]) -> str:
    """Return the task of a job; of a chain, which a factory may make, that of its first step."""
    step = job.get("signature")
    while step is not None and step.task == "celery.chain":
        step = step.tasks[0]
    return str(job["task"] if step is None else step.task)


def _found(question: Mapping[str, Any]) -> dict[str, Any]:
    path = question["redirect"]["app"]
    if question.get("broker"):
        return broker_of(path)
    return settings_of(path, question["settings"]) if question.get("settings") else answer(question)


def main() -> None:
    """Answer the question on standard input."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        question = json.load(sys.stdin)
        found = _found(question)
    except OwnAppError as error:
        found = {"error": str(error)}
    json.dump(found, out)
    out.flush()
    # What the app has printed waits in a buffer where standard output is a pipe, and `_exit` flushes nothing.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # the app may have closed or replaced it
            stream.flush()
    # Threads that the app has started would keep this process alive, although its work is done.
    os._exit(0)


if __name__ == "__main__":
    main()
