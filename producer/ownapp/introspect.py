"""Asks a user's app for its description and its jobs, in a process of its own: none of its code runs in ours."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolrace.ownapp.redirect import BACKEND_VARIABLE, BROKER_VARIABLES, Redirect
from producer.errors import FleetError, UsageError
from producer.fleet.broker import BrokerAccess
from producer.fleet.environment import app_environment, interpreter, source_path
from producer.ownapp.jobfile import read_jobs
from producer.ownapp.jobs import jobs_by_task, replayed_jobs
from producer.plan.own_app import OwnApp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
FACTORY_JOBS = 200
"""The number of jobs that a factory makes; a run draws from them."""

NO_BROKER = "redis://127.0.0.1:9/0"
"""An address at which nobody listens, of a run's kind of broker: an app may take it apart as it is imported."""

NOWHERE = Redirect(app="", broker_url=NO_BROKER, queue="nowhere", acks="own", backend_url=NO_BROKER)
"""The redirect of an app that is asked: whatever it does, it reaches no broker."""

TAIL_LINES = 8


def ask(
    app: str,
    *,
    folder: Path,
    jobs: str | None,
    tasks: Sequence[str],
    python: str,
    environment: Mapping[str, str],
    seed: int,
    timeout_s: float,
    keep_backend: bool,
    patience_s: float,
    replay: bool = False,
) -> OwnApp:
    """
    Ask an app for its description, and make its jobs.

    Args:
        app: The app, as `celery -A` takes it.
        folder: The folder in which it is imported and run.
        jobs: A job file, or a function that makes jobs; None to send each task without arguments.
        tasks: The tasks whose jobs are sent; none for all that the jobs name.
        python: The interpreter that is asked; empty for the one that runs this command.
        environment: The user's environment, with what is meant for Poolrace.
        seed: The seed of what is drawn.
        timeout_s: The longest wait of a run for the end of a job.
        keep_backend: True to keep the result backend of the app's settings.
        patience_s: The longest wait for the app's answer.
        replay: True if the jobs are a recording, to be sent as they came.

    Raises:
        UsageError: If the app, a task or a job is wrong.
        FleetError: If it does not answer.
    """
    environment = app_environment(environment)
    question = {
        "redirect": _redirect(app),
        "tasks": list(tasks),
        "own_backend": environment.get(BACKEND_VARIABLE, ""),
        **_jobs(jobs, tasks, folder, seed),
    }
    facts = _answer(question, folder, python, environment, patience_s)
    if error := facts.get("error"):
        raise UsageError(f"--app {error}" if str(error).startswith(app) else str(error))
    messages = facts.pop("messages")
    recorded: tuple[tuple[float, str], ...] = ()
    if replay:
        sized, recorded = replayed_jobs(messages, timeout_s=timeout_s)
    else:
        sized = jobs_by_task(messages, timeout_s=timeout_s, seed=seed)
    return OwnApp(
        app=app,
        folder=folder,
        facts=facts,
        jobs=sized,
        environment=environment,
        recorded=recorded,
        timeout_s=timeout_s,
        keep_backend=keep_backend,
    )


def broker_of_app(app: str, *, folder: Path, environment: Mapping[str, str], patience_s: float) -> BrokerAccess:
    """
    Return the broker of an app, the environment's or else that of its own settings, and how the app reaches it.

    Raises:
        UsageError: If the app cannot be imported, or names no broker.
        FleetError: If it does not answer.
    """
    environment = app_environment(environment)
    answer = _answer({"redirect": _redirect(app), "broker": True}, folder, "", environment, patience_s)
    if error := answer.get("error"):
        raise UsageError(f"--app {error}")
    given = environment.get(BROKER_VARIABLES[0])
    urls = given.split(";") if given else answer["broker_urls"]
    if not all("://" in url for url in urls):
        raise UsageError(f"--app {app}: its settings name no broker as a URL. Name it: --broker URL.")
    settings = {name: value for name, value in answer["settings"].items() if value is not None}
    return BrokerAccess(urls=tuple(urls), settings=settings)


def settings_of_app(
    app: str, names: Sequence[str], *, folder: Path, environment: Mapping[str, str], patience_s: float
) -> tuple[dict[str, Any], dict[str, list[str]], str]:
    """
    Return what an app has for some settings, by setting the tasks that switch it off for themselves, and its broker.

    Raises:
        UsageError: If the app cannot be imported.
        FleetError: If it does not answer.
    """
    question = {"redirect": _redirect(app), "settings": list(names)}
    answer = _answer(question, folder, "", app_environment(environment), patience_s)
    if error := answer.get("error"):
        raise UsageError(f"--app {error}")
    return answer["settings"], answer["overruled"], answer["broker"]


def _redirect(app: str) -> dict[str, Any]:
    return {**json.loads(NOWHERE.to_json()), "app": app}


def _jobs(jobs: str | None, tasks: Sequence[str], folder: Path, seed: int) -> dict[str, Any]:
    if jobs is None:
        if not tasks:
            raise UsageError(
                "--app: say what to send: --jobs FILE with a JSON object a line, --jobs shop.load:make_job, or --task "
                "NAME for a task that takes no arguments."
            )
        return {"jobs": [{"task": task, "line": f"--task {task}"} for task in tasks]}
    if FACTORY.fullmatch(jobs) and not (folder / jobs).exists():
        return {"factory": jobs, "count": FACTORY_JOBS, "seed": seed, "jobs": []}
    return {"jobs": read_jobs(Path(jobs), tasks[0] if len(tasks) == 1 else None)}


def _answer(
    question: Mapping[str, Any], folder: Path, python: str, environment: Mapping[str, str], patience_s: float
) -> dict[str, Any]:
    redirect = Redirect(**question["redirect"])
    try:
        done = subprocess.run(
            [interpreter(python), "-P", "-c", _CALL], input=json.dumps(question), cwd=folder,
            env={**environment, **source_path(python), **redirect.environment(), "POOLRACE_HOME": _home()},
            capture_output=True, encoding="utf-8", errors="replace", timeout=patience_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise FleetError(
            f"--app {redirect.app}: did not say what it is in {patience_s:.0f} s. If its import takes that long, give "
            "it more (--ready-within)."
        ) from error
    except OSError as error:
        raise UsageError(f"--app {redirect.app}: cannot be run in {folder}: {error.strerror}.") from error
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        tail = "\n".join(f"    {line}" for line in done.stderr.strip().splitlines()[-TAIL_LINES:])
        raise UsageError(
            f"--app {redirect.app}: ended with code {done.returncode} when it was imported:\n{tail}"
        ) from None


_CALL = (
    "import os, sys; sys.path.append(os.environ['POOLRACE_HOME']); from poolrace.ownapp.introspect import main; main()"
)
"""Our packages come last on the path: a package of the user's with the same name is the user's."""


def _home() -> str:
    spec = importlib.util.find_spec("poolrace")
    if spec is None or spec.origin is None:
        raise FleetError("poolrace itself cannot be found. Install it again.")
    return str(Path(spec.origin).parents[1])
