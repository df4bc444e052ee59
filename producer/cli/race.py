"""
Race pools on the same jobs, on this machine, and print the verdict.

Starts a broker and the nodes of each lane, lets trials alternate between the lanes, and ends all that it started.
Writes a run directory from which `poolrace report` recomputes everything. About 110 s on two cores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.cli._command import command, option
from producer.cli._exit_codes import EXIT_CODES
from producer.cli._options import LIVE_OPTION, fleet_options, fleet_settings, output_options, run
from producer.cli._param_types import WORKLOAD, Count, Duration, Rate, Share
from producer.errors import UsageError
from producer.plan.settings import QUICK_PAIRS, QUICK_TRIAL_S, QUICK_WORKLOADS, RaceSettings, default_of
from producer.plan.units import one_of
from producer.plan.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import click

    from producer.plan.own_app import OwnApp

EXAMPLES = f"""\b
Examples:
  poolrace race
  poolrace race --quick --live
  poolrace race --workload cpu --workload io --concurrency 4
  poolrace race --lane prefork:2 --lane threads:32 --workload io
  poolrace race --lane threads:8 --lane threads:8:python=/opt/py314t/bin/python3.14t
  poolrace race --lane threads:8 --lane threads:8:transport=atomic --acks late
  poolrace race --lane threads:8 --lane threads:8        (A/A: how much is noise?)
  poolrace race --broker redis://:PASSWORD@127.0.0.1:6379/0 --expect-nodes 4
  poolrace race --json > verdict.json

{EXIT_CODES}"""


def _shorten(context: click.Context, _: click.Parameter, quick: bool) -> bool:
    """Make the short form the default of what the command line does not say."""
    if quick:
        context.default_map = {**(context.default_map or {}), "pairs": QUICK_PAIRS, "trial_s": QUICK_TRIAL_S}
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
    "--pairs", type=Count(1, 1000), default=default_of(RaceSettings, "pairs"), help="Trials of each kind on each lane."
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
    "--quick",
    is_flag=True,
    is_eager=True,
    callback=_shorten,
    help=f"Under 30 s: {' and '.join(QUICK_WORKLOADS)} only, {QUICK_PAIRS} pairs, shorter trials.",
)
@LIVE_OPTION
@fleet_options
@output_options
def race(*, as_json: bool, junit: Path | None, live: bool | None, **options: Any) -> int:
    """Race as the options say, and report."""
    return run(race_settings(**options), as_json=as_json, junit=junit, live=live)


def race_settings(
    *,
    workloads: Sequence[str],
    pairs: int,
    trial_s: float,
    utilisation: float,
    rate_per_s: float | None,
    margin: float,
    quick: bool,
    **shared: Any,
) -> RaceSettings:
    """
    Return the settings of a race from its options.

    Raises:
        UsageError: If two options contradict each other.
    """
    given = fleet_settings(shared)
    return RaceSettings(
        **given,
        workloads=_workloads(workloads, given["own_app"], quick=quick),
        pairs=pairs,
        trial_s=trial_s,
        utilisation=utilisation,
        rate_per_s=rate_per_s,
        margin=margin,
        quick=quick,
    )


def _workloads(named: Sequence[str], own_app: OwnApp | None, *, quick: bool) -> tuple[str, ...]:
    if own_app:
        if unknown := [name for name in named if name not in own_app.jobs]:
            raise UsageError(
                f"--workload {unknown[0]!r}: no task of the jobs. Allowed: {one_of(unknown[0], list(own_app.jobs))}."
            )
        return tuple(named) or tuple(own_app.jobs)
    return tuple(named) or (QUICK_WORKLOADS if quick else default_of(RaceSettings, "workloads"))
