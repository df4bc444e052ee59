"""`poolrace sweep`: one thing varied on each pool, all else kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from producer.cli.exit_codes import exit_with_message
from producer.cli.options import LIVE_OPTION, fleet_options, fleet_settings, if_given, output_options
from producer.cli.output import finish
from producer.errors import UsageError
from producer.plan.units import fraction, one_of, parse_duration_s, parse_size_bytes, whole_number
from producer.plan.workloads import WORKLOADS

if TYPE_CHECKING:
    from pathlib import Path

    from producer.measure.sweep import SweepSettings
    from producer.plan.own_app import OwnApp

MAX_MEMORY_BYTES = 2**50

EXAMPLES = """\b
Examples:
  poolrace sweep --over concurrency=1,2,4,8,16,32,64 --workload io --memory 512MiB
  poolrace sweep --over nodes=1,2,4 --workload io --concurrency 4
  poolrace sweep --over cpu-share=0..1 --job-duration 40ms
  poolrace sweep --over prefetch=1,4,16 --workload noop --lane threads:8
  poolrace sweep --over payload=0,4KiB,64KiB,256KiB --workload noop
  poolrace sweep --over acks=early,late --workload io --json > acks.json
  poolrace sweep --over transport=stock,atomic --workload noop

\b
Exit codes:
  0    good
  2    the command line is not what the command needs
  3    the broker or a node cannot be started, reached or kept alive
  4    the run is invalid: the generator was late, or jobs are missing
  130  Ctrl-C; what was measured until then is kept"""


@click.command(epilog=EXAMPLES)
@click.option("--over", "over", required=True, metavar="NAME=VALUES",
              help="What is varied: concurrency, nodes, prefetch, acks, transport, cpu-share or payload.")  # fmt: skip
@click.option("--workload", default=None, metavar="NAME",
              help=f"What jobs do: {', '.join(WORKLOADS)}. [default: io; mixed for cpu-share]")  # fmt: skip
@click.option("--memory", default=None, metavar="SIZE", help="What a node may take, e.g. 512MiB; for the advice.")
@click.option("--pairs", default="3", show_default=True, metavar="N", help="Trials of each kind, lane and value.")
@click.option("--duration", default="1s", show_default=True, metavar="TIME", help="How long a trial should take.")
@click.option("--utilisation", default="0.7", show_default=True, metavar="PART",
              help="Held arrival rate, as a part of the slower lane's capacity at the same value.")  # fmt: skip
@click.option("--margin", default="0.05", show_default=True, metavar="PART",
              help="Lanes closer than this show no difference.")  # fmt: skip
@LIVE_OPTION
@fleet_options
@output_options
@exit_with_message
def sweep(*, as_json: bool, junit: Path | None, live: bool | None, **options: Any) -> int:
    """
    Race the pools at each of several values of one thing, and say where the knee or the crossover is.

    At each value the lanes take turns, as in a race; values follow one another, so that a machine that changes
    meanwhile shows between them. Nodes of one value run only while it is measured.
    """
    settings = sweep_settings(**options)
    from producer.measure.kinds import measure_run
    from producer.report.progress.display import progress_for

    with progress_for(quiet=as_json, live=live) as progress:
        path, error = measure_run(settings, progress)
    return finish(path, error, as_json=as_json, junit=junit)


def sweep_settings(
    *,
    over: str,
    workload: str | None,
    memory: str | None,
    pairs: str,
    duration: str,
    utilisation: str,
    margin: str,
    **shared: Any,
) -> SweepSettings:
    """
    Settings from the words of the command line.

    Raises:
        UsageError: If a word is wrong; says which are right.
    """
    from producer.measure.sweep import SweepSettings
    from producer.plan.axis import parse_axis

    axis = parse_axis(over)
    given = fleet_settings(**shared, least_lanes=1)
    if axis.name == "cpu-share" and workload not in {None, "mixed"}:
        raise UsageError(f"--workload {workload}: only mixed jobs have a CPU share. Leave --workload out.")
    if given["own_app"]:
        _check_app(axis.name, workload, given["own_app"])
    if axis.of_lanes and not given["start_nodes"]:
        raise UsageError(
            f"--over {axis.name}: nodes that run already are raced as they are. Add --start-nodes, or vary cpu-share "
            "or payload."
        )
    lanes = [lane for value in axis.values for lane in axis.lanes(value, given["lanes"])]
    chosen: dict[str, Any] = {
        **given,
        "workloads": (workload or _default_workload(axis.name, given["own_app"]),),
        "axis": axis,
        "base": given["lanes"],
        "lanes": tuple(lanes) if axis.of_lanes else given["lanes"],
        "memory_bytes": if_given(memory, lambda text: parse_size_bytes(text, "--memory", MAX_MEMORY_BYTES)),
        "pairs": whole_number(pairs, "--pairs", 1, 1000),
        "trial_s": parse_duration_s(duration, "--duration", 0.1, 3600),
        "utilisation": fraction(utilisation, "--utilisation", 0.05, 0.95),
        "margin": fraction(margin, "--margin", 0.001, 0.5),
    }
    return SweepSettings(**{name: value for name, value in chosen.items() if value is not None})


def _default_workload(axis: str, own_app: OwnApp | None) -> str:
    if own_app:
        return list(own_app.jobs)[-1]  # all tasks together, if there are several
    return "mixed" if axis == "cpu-share" else "io"


def _check_app(axis: str, workload: str | None, own_app: OwnApp) -> None:
    if axis in {"cpu-share", "payload"}:
        raise UsageError(
            f"--over {axis}: the jobs of your own app are as they are. Vary concurrency, prefetch, acks or transport."
        )
    if workload is not None and workload not in own_app.jobs:
        raise UsageError(
            f"--workload {workload}: no task of the jobs. Allowed: {one_of(workload, list(own_app.jobs))}."
        )
