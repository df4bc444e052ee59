"""
Hold a load for long, and tell whether nodes leak, and which task does it.

The lanes take turns at a steady load, a user's tasks all together and each alone, while every process is sampled. A
pool that can replace its children runs once more with replacement, on the same jobs: what that costs is told, too.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from poolrace.pools import POOLS, Feature
from producer.cli._command import command, option
from producer.cli._exit_codes import EXIT_CODES
from producer.cli._options import LIVE_OPTION, fleet_options, fleet_settings, output_options, run
from producer.cli._param_types import WORKLOAD, Count, Duration, Share, Size
from producer.errors import UsageError
from producer.measure.soak import SOAK_S, TOLERATED_MIB_PER_H, SoakSettings
from producer.plan.lane_settings import MAX_MEMORY, MAX_TASKS, MOST_TASKS
from producer.plan.settings import default_of
from producer.plan.units import one_of
from producer.plan.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from producer.plan.lanes import Lane
    from producer.plan.own_app import OwnApp

LEAST_S, MOST_S = 10.0, 7 * 86_400.0
MOST_BYTES = 2**40
DEFAULT_WORKLOADS = ("mixed",)

EXAMPLES = f"""\b
Examples:
  poolrace soak --app shop.celery:app --workdir examples/shop --jobs jobs.jsonl
  poolrace soak --for 1h --lane prefork:4 --app shop.celery:app
  poolrace soak --for 5m --lane threads:8 --workload io --tolerate 10MiB
  poolrace soak --recycle 1000 --lane prefork:4 --app shop.celery:app --json > soak.json

{EXIT_CODES}"""


@command(__doc__, epilog=EXAMPLES)
@option(
    "--for",
    "for_s",
    type=Duration(LEAST_S, MOST_S),
    default=default_of(SoakSettings, "for_s"),
    show_default=f"{SOAK_S / 60:g}m",
    help="How long to measure, all lanes together, the start of nodes apart.",
)
@option(
    "--workload",
    "workloads",
    multiple=True,
    type=WORKLOAD,
    help=f"What jobs do; repeatable: {', '.join(WORKLOADS)}. [default: {', '.join(DEFAULT_WORKLOADS)}]",
)
@option(
    "--recycle",
    "recycle_jobs",
    type=Count(1, MOST_TASKS),
    default=default_of(SoakSettings, "recycle_jobs"),
    help="After how many jobs the lane that recycles replaces a child.",
)
@option("--no-recycle", is_flag=True, help="Run no lane with replacement of children.")
@option(
    "--tolerate",
    "tolerated_bytes_per_h",
    type=Size(MOST_BYTES),
    default=default_of(SoakSettings, "tolerated_bytes_per_h"),
    show_default=f"{TOLERATED_MIB_PER_H}MiB",
    help="What a process may gain in an hour of work: less is no leak.",
)
@option(
    "--utilisation",
    type=Share(0.05, 0.95),
    default=default_of(SoakSettings, "utilisation"),
    help="Held arrival rate, as a part of the slowest lane's capacity.",
)
@LIVE_OPTION
@fleet_options
@output_options
def soak(*, as_json: bool, full: bool, junit: Path | None, live: bool | None, **options: Any) -> int:
    """Soak as the options say, and report."""
    return run(soak_settings(**options), as_json=as_json, full=full, junit=junit, live=live)


def soak_settings(
    *,
    for_s: float,
    workloads: Sequence[str],
    recycle_jobs: int,
    no_recycle: bool,
    tolerated_bytes_per_h: int,
    utilisation: float,
    **shared: Any,
) -> SoakSettings:
    """
    Return the settings of a soak from its options.

    Raises:
        UsageError: If two options contradict each other, or there is no time for a round.
    """
    given = fleet_settings(shared, least_lanes=1)
    recycling = [] if no_recycle or not given["start_nodes"] else recycled(given["lanes"], recycle_jobs)
    settings = SoakSettings(
        **{**given, "lanes": (*given["lanes"], *(lane for lane, _ in recycling))},
        workloads=_workloads(workloads, given["own_app"]),
        for_s=for_s,
        recycled=tuple((lane.key, kept) for lane, kept in recycling),
        recycle_jobs=recycle_jobs,
        tolerated_bytes_per_h=tolerated_bytes_per_h,
        utilisation=utilisation,
    ).with_trials_that_fit()
    if settings.least_s > for_s:
        raise UsageError(
            f"--for {for_s:g}s: must be {math.ceil(settings.least_s / 60)}m or more for {len(settings.workloads)} "
            f"workloads on {len(settings.lanes)} lanes. Give it, or name fewer of "
            f"{'--task' if settings.own_app else '--workload'} or --lane."
        )
    return settings


def recycled(lanes: Sequence[Lane], jobs: int) -> list[tuple[Lane, str]]:
    """Return for each lane that can replace its children, and does not, one that does, with the key of the first."""
    return [
        (replace(lane.with_setting(MAX_TASKS, str(jobs)), key=f"{lane.key}-recycled"), lane.key)
        for lane in lanes
        if POOLS[lane.pool].offers(Feature.MAX_TASKS) and not {MAX_TASKS, MAX_MEMORY} & {*dict(lane.settings)}
    ]


def _workloads(named: Sequence[str], own_app: OwnApp | None) -> tuple[str, ...]:
    if own_app is None:
        return tuple(named) or DEFAULT_WORKLOADS
    for each in named:
        if each not in own_app.jobs:
            raise UsageError(f"--workload {each!r}: no task of the jobs. Allowed: {one_of(each, list(own_app.jobs))}.")
    return tuple(named) or tuple(own_app.jobs)
