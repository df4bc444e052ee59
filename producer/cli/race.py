"""
Race pools on the same jobs, on this machine, and print the verdict.

Starts a broker and the nodes of each lane, lets trials alternate between the lanes, and ends all that it started. Puts
pairs of trials where they decide most, and stops when all is settled or the time is up. Writes a run directory from
which `poolrace report` recomputes everything, and which `--continue` takes on. About two minutes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from producer.cli._command import command, option
from producer.cli._exit_codes import EXIT_CODES
from producer.cli._options import LIVE_OPTION, fleet_options, fleet_settings, output_options, run
from producer.cli._param_types import WORKLOAD, Count, Duration, Rate, Share
from producer.errors import UsageError
from producer.plan.own_app import MIX
from producer.plan.settings import AT_MOST_S, QUICK_AT_MOST_S, QUICK_TRIAL_S, QUICK_WORKLOADS, RaceSettings, default_of
from producer.plan.units import one_of
from producer.plan.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.plan.own_app import OwnApp

EXAMPLES = f"""\b
Examples:
  poolrace race
  poolrace race --quick --live
  poolrace race --at-most 5m
  poolrace race --continue runs/2026-01-31T12-00-00Z-race-1a2b3c --until-settled
  poolrace race --workload cpu --workload io --concurrency 4
  poolrace race --lane prefork:2 --lane threads:32 --workload io
  poolrace race --lane threads:8 --lane threads:8:python=/path/to/python3.14t
  poolrace race --lane threads:8 --lane threads:8:transport=atomic --acks late
  poolrace race --lane threads:8 --lane threads:8        (A/A: how much is noise?)
  poolrace race --broker redis://:PASSWORD@127.0.0.1:6379/0 --expect-nodes 4
  poolrace race --json > verdict.json

{EXIT_CODES}"""


def _shorten(context: click.Context, _: click.Parameter, quick: bool) -> bool:
    """Make the short form the default of what the command line does not say."""
    if quick:
        context.default_map = {**(context.default_map or {}), "trial_s": QUICK_TRIAL_S}
    return quick


@command(__doc__, epilog=EXAMPLES)
@option(
    "--workload",
    "workloads",
    multiple=True,
    type=WORKLOAD,
    help=f"What jobs do; repeatable: {', '.join(WORKLOADS)}. "
    f"[default: {', '.join(default_of(RaceSettings, 'workloads'))}]",
)
@option(
    "--at-most",
    "at_most_s",
    type=Duration(1, 86_400),
    help="How long to measure, the start of nodes apart. "
    f"[default: {AT_MOST_S:.0f}s, {QUICK_AT_MOST_S:.0f}s if --quick; more if three rounds of everything take longer]",
)
@option("--until-settled", is_flag=True, help="Go on until every comparison is settled, however long that takes.")
@option(
    "--pairs",
    type=Count(1, 1000),
    help="As many trials of each kind on each lane, instead of putting them where they decide most.",
)
@option(
    "--continue",
    "earlier",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="Take on the race in a run directory, with its settings, on the same machine.",
)
@option(
    "--duration",
    "trial_s",
    type=Duration(0.1, 3600),
    default=default_of(RaceSettings, "trial_s"),
    help="How long a trial should take.",
)
@option(
    "--utilisation",
    type=Share(0.05, 0.95),
    default=default_of(RaceSettings, "utilisation"),
    help="Held arrival rate, as a part of the slower lane's capacity.",
)
@option(
    "--rate",
    "rate_per_s",
    type=Rate(),
    help="Held arrival rate instead, e.g. 40/s; with --app of all its jobs together.",
)
@option(
    "--margin",
    type=Share(0.001, 0.5),
    default=default_of(RaceSettings, "margin"),
    help="Lanes closer than this show no difference.",
)
@option(
    "--apart",
    multiple=True,
    metavar="TASK=LANE",
    help="With --app: try the mix with a task's jobs on another lane's nodes, as with a queue of its own; repeatable.",
)
@option(
    "--quick",
    is_flag=True,
    is_eager=True,
    callback=_shorten,
    help=f"Under a minute: {' and '.join(QUICK_WORKLOADS)} only, less time, shorter trials.",
)
@LIVE_OPTION
@fleet_options
@output_options
def race(
    *, as_json: bool, full: bool, junit: Path | None, live: bool | None, earlier: Path | None, **options: Any
) -> int:
    """Race as the options say, and report."""
    settings = race_settings(**options)
    if earlier is None:
        _check_time(settings)
        return run(settings, as_json=as_json, full=full, junit=junit, live=live)
    from producer.cli._continue import continued  # takes a while to import

    settings, before = continued(earlier, settings)
    return run(settings, as_json=as_json, full=full, junit=junit, live=live, before=before)


def race_settings(
    *,
    workloads: Sequence[str],
    at_most_s: float | None,
    until_settled: bool,
    pairs: int | None,
    quick: bool,
    apart: Sequence[str] = (),
    **others: Any,
) -> RaceSettings:
    """
    Return the settings of a race from its options.

    Raises:
        UsageError: If two options contradict each other.
    """
    if until_settled and pairs:
        raise UsageError("--until-settled and --pairs contradict each other. Give one of them.")
    own = {name: others.pop(name) for name in ("trial_s", "utilisation", "rate_per_s", "margin")}
    given = fleet_settings(others)
    settings = RaceSettings(
        **given,
        **own,
        workloads=_workloads(workloads, given["own_app"], quick=quick),
        at_most_s=at_most_s,
        pairs=pairs,
        quick=quick,
    )
    settings = replace(settings, apart=tuple(_apart(text, settings) for text in apart))
    if len(dict(settings.apart)) < len(settings.apart):
        raise UsageError(f"--apart {apart[-1]!r}: a task is named twice. Name each once.")
    if at_most_s is None and not (until_settled or pairs):
        return replace(settings, at_most_s=max(QUICK_AT_MOST_S if quick else AT_MOST_S, settings.enough_s))
    return settings


def _apart(text: str, settings: RaceSettings) -> tuple[str, str]:
    """
    Read a task and the lane that takes its jobs.

    Raises:
        UsageError: If there is no such task or lane, or no mix that the task is part of.
    """
    if MIX not in settings.workloads or settings.own_app is None:
        raise UsageError(f"--apart {text!r}: there is no mix. Name an app with several tasks, and race its mix.")
    task, separator, lane = text.partition("=")
    lanes, tasks = [each.key for each in settings.lanes], settings.own_app.tasks
    if task not in tasks:
        raise UsageError(f"--apart {text!r}: no task {task!r} in the jobs. Allowed: {one_of(task, tasks)}.")
    if not separator or lane not in lanes:
        raise UsageError(f"--apart {text!r}: no lane {lane!r}. Allowed: {task}={one_of(lane, lanes)}.")
    return task, lane


def _check_time(settings: RaceSettings) -> None:
    """Check that there is time for one round of everything, which a race that is taken on has had already."""
    if settings.at_most_s is not None and settings.at_most_s < settings.least_s:
        raise UsageError(
            f"--at-most {settings.at_most_s:g}s: too short for one round of {len(settings.workloads)} workloads on "
            f"{len(settings.lanes)} lanes. Give at least {settings.least_s:.0f}s, or fewer workloads (--workload)."
        )


def _workloads(named: Sequence[str], own_app: OwnApp | None, *, quick: bool) -> tuple[str, ...]:
    if own_app:
        if unknown := [name for name in named if name not in own_app.jobs]:
            raise UsageError(
                f"--workload {unknown[0]!r}: no task of the jobs. Allowed: {one_of(unknown[0], list(own_app.jobs))}."
            )
        return tuple(named) or tuple(own_app.jobs)
    return tuple(named) or (QUICK_WORKLOADS if quick else default_of(RaceSettings, "workloads"))
