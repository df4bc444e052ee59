"""Takes a race on: the settings of an earlier part of it, which must be those that the command line names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from msgspec import to_builtins

from producer.analysis.analyse import analyse
from producer.analysis.compare import HARDWARE, SOFTWARE
from producer.errors import UsageError
from producer.fleet.machine import describe
from producer.measure.session import EarlierPart
from producer.rundir.reader import read_manifest, read_run
from producer.rundir.trials import Kind
from producer.rundir.writer import held_alone, mend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from producer.plan.settings import RaceSettings
    from producer.rundir.run import Run

STORED = ("lanes", "workloads", "job_s", "cpu_share", "arrivals", "seed", "publishers", "start_nodes", "queues")
"""Settings of any run that its parts must share."""

OPTIONS = {
    "workloads": "--workload",
    "job_s": "--job-duration",
    "trial_s": "--duration",
    "rate_per_s": "--rate",
    "cpu_share": "--cpu-share",
    "start_nodes": "--start-nodes",
}
"""The options of settings that have another name than theirs."""

STORED_OF_RACE = ("trial_s", "utilisation", "rate_per_s", "margin", "quick", "apart")

SETS_LANES = frozenset({"lanes", "concurrency", "prefetch", "acks", "rtt"})
"""Options that together make the lanes."""


def continued(path: Path, asked: RaceSettings) -> tuple[RaceSettings, EarlierPart]:
    """
    Return the settings of a race to take on, and what has been measured of it.

    Args:
        path: Its run directory.
        asked: The settings of the command line, defaults where it names nothing.

    Raises:
        UsageError: If it is no race, or of another machine, or if the command line names other settings.
    """
    read_manifest(path)  # whether it is a run directory at all
    with held_alone(path):
        mend(path)
        run = read_run(path)
    stored = run.manifest.settings
    if stored.kind != asked.kind or stored.race is None:
        raise UsageError(f"--continue {path}: a {stored.kind} cannot be taken on, only a race.")
    found = {name: getattr(stored, name) for name in STORED} | {
        name: getattr(stored.race, name) for name in STORED_OF_RACE
    }
    differences = [*_of_options(found, asked), *_of_app(run, asked), *_of_machine(run)]
    if differences:
        raise UsageError(
            f"--continue {path}: {'; '.join(differences)}. Its parts must share machine and settings: leave the "
            "options out, or race anew."
        )
    sizes = to_builtins(run.manifest.sizes)
    return replace(asked, **found, sizes=sizes), _earlier(run)


def _earlier(run: Run) -> EarlierPart:
    measured = [trial for trial in run.trials if trial.kind is not Kind.WARM_UP]
    numbers = {trial.trial for trial in measured}
    results = analyse(run.trials, run.sent, run.records, run.children).trials
    return EarlierPart(path=run.path, trials=measured, results=[each for each in results if each.trial in numbers])


def _of_options(found: Mapping[str, Any], asked: RaceSettings) -> Iterator[str]:
    """Yield the settings that the command line names otherwise."""
    context = click.get_current_context()
    given = {
        "lanes" if name in SETS_LANES else name
        for name in context.params
        if context.get_parameter_source(name) in {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}
    }
    for name, value in found.items():
        here = getattr(asked, name)
        if name in given and here != value:
            option = OPTIONS.get(name, "lanes" if name == "lanes" else f"--{name}")
            yield f"{option} {_shown(value)} there, {_shown(here)} here"


def _of_app(run: Run, asked: RaceSettings) -> Iterator[str]:
    there = run.manifest.settings.app
    here = asked.own_app.app_settings() if asked.own_app else None
    if (there and there.app) != (here and here.app):
        yield f"app {there.app if there else 'none'} there, {here.app if here else 'none'} here"
    elif there and here and dict(there.shares) != dict(here.shares):
        yield "jobs of the app other than there"


def _of_machine(run: Run) -> Iterator[str]:
    there, here = to_builtins(run.manifest.machine) or {}, to_builtins(describe())
    for name in (*HARDWARE, *SOFTWARE):
        yield from _parts_that_differ(name, there.get(name), here.get(name))


def _parts_that_differ(name: str, there: Any, here: Any) -> Iterator[str]:
    """Yield a fact of the machine if it differs, of several under one name those that do."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in {**there, **here}:
            yield from _parts_that_differ(key, there.get(key), here.get(key))
    elif there != here:
        yield f"{name} {_shown(there)} there, {_shown(here)} here"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(getattr(each, "label", str(each)) for each in value) or "none"
    return str(value)
