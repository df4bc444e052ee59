"""`poolrace race`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from producer.cli.exit_codes import EXIT_CODES, exit_with_message
from producer.cli.options import LIVE_OPTION, fleet_options, fleet_settings, if_given, output_options
from producer.cli.output import finish
from producer.errors import UsageError
from producer.plan.settings import RaceSettings
from producer.plan.units import fraction, one_of, parse_duration_s, whole_number
from producer.plan.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


RACE_EXAMPLES = f"""\b
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


@click.command(epilog=RACE_EXAMPLES)
@click.option("--workload", "workloads", multiple=True, metavar="NAME",
              help=f"What jobs do; repeatable: {', '.join(WORKLOADS)}. [default: cpu, native, io, mixed]")  # fmt: skip
@click.option("--pairs", default=None, metavar="N", help="Trials of each kind on each lane. [default: 5]")
@click.option("--duration", default=None, metavar="TIME", help="How long a trial should take. [default: 1s]")
@click.option("--utilisation", default="0.7", show_default=True, metavar="PART",
              help="Held arrival rate, as a part of the slower lane's capacity.")  # fmt: skip
@click.option("--rate", default=None, metavar="RATE",
              help="Held arrival rate instead, e.g. 40/s; with --app of all its jobs together.")  # fmt: skip
@click.option("--margin", default="0.05", show_default=True, metavar="PART",
              help="Lanes closer than this show no difference.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Under 30 s: cpu and io only, 3 pairs, shorter trials.")
@LIVE_OPTION
@fleet_options
@output_options
@exit_with_message
def race(*, as_json: bool, junit: Path | None, live: bool | None, quick: bool, **options: Any) -> int:
    """
    Race pools on the same jobs, on this machine, and print the verdict.

    Starts a broker and the nodes of each lane, lets trials alternate between the lanes, and ends all it started. Writes
    a run directory from which `poolrace report` recomputes everything. About 110 s on two cores.
    """
    settings = race_settings(quick=quick, **options)
    from producer.measure.kinds import measure_run
    from producer.report.progress.display import progress_for

    with progress_for(quiet=as_json, live=live) as progress:
        path, error = measure_run(settings, progress)
    return finish(path, error, as_json=as_json, junit=junit)


def race_settings(
    *,
    workloads: Sequence[str],
    pairs: str | None,
    duration: str | None,
    utilisation: str,
    rate: str | None,
    margin: str,
    quick: bool,
    **shared: Any,
) -> RaceSettings:
    """
    Settings from the words of the command line.

    Raises:
        UsageError: If a word is wrong; says which are right.
    """
    from producer.plan.units import parse_rate

    given = fleet_settings(**shared)
    own_app = given["own_app"]
    if own_app and (unknown := [name for name in workloads if name not in own_app.jobs]):
        raise UsageError(
            f"--workload {unknown[0]}: no task of the jobs. Allowed: {one_of(unknown[0], list(own_app.jobs))}."
        )
    own = {} if own_app is None else {"own_app": own_app, "workloads": tuple(own_app.jobs)}
    base = RaceSettings(lanes=given["lanes"], **own)
    if quick:
        base = base.quickened()
    chosen: dict[str, Any] = {
        **given,
        "workloads": tuple(workloads) or None,
        "pairs": if_given(pairs, lambda text: whole_number(text, "--pairs", 1, 1000)),
        "trial_s": if_given(duration, lambda text: parse_duration_s(text, "--duration", 0.1, 3600)),
        "rate_per_s": if_given(rate, lambda text: parse_rate(text, "--rate")),
        "utilisation": fraction(utilisation, "--utilisation", 0.05, 0.95),
        "margin": fraction(margin, "--margin", 0.001, 0.5),
    }
    return base.replaced({name: value for name, value in chosen.items() if value is not None})
