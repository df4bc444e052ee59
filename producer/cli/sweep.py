"""
Race the pools at several values of one thing, and find the knee or crossover.

At each value the lanes take turns, as in a race, and the values take turns as well: each round comes to every value
once, and the next one in another order. Nodes of a value are started for its turn and run only meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.cli._command import command, option
from producer.cli._exit_codes import EXIT_CODES
from producer.cli._options import LIVE_OPTION, fleet_options, fleet_settings, output_options, run
from producer.cli._param_types import WORKLOAD, Count, Duration, Parsed, Share, Size
from producer.errors import UsageError
from producer.measure.sweep import SweepSettings
from producer.plan.axis import Axis, parse_axis
from producer.plan.lane_settings import RTT
from producer.plan.settings import default_of
from producer.plan.units import one_of
from producer.plan.workloads import WORKLOADS

if TYPE_CHECKING:
    from pathlib import Path

    from producer.plan.own_app import OwnApp

AXIS = Parsed("name=values", lambda text, _: parse_axis(text))
MAX_MEMORY_BYTES = 2**50

EXAMPLES = f"""\b
Examples:
  poolrace sweep --over concurrency=1,2,4,8,16,32,64 --workload io --memory 512MiB
  poolrace sweep --over nodes=1,2,4 --workload io --concurrency 4
  poolrace sweep --over cpu-share=0..1 --job-duration 40ms
  poolrace sweep --over prefetch=1,4,16 --workload noop --lane threads:8
  poolrace sweep --over payload=0,4KiB,64KiB,256KiB --workload noop
  poolrace sweep --over acks=early,late --workload io --json > acks.json
  poolrace sweep --over transport=stock,atomic --workload noop
  poolrace sweep --over rtt=0,0.5ms,2.5ms,10ms --workload noop

{EXIT_CODES}"""


@command(__doc__, epilog=EXAMPLES)
@option(
    "--over",
    "axis",
    required=True,
    type=AXIS,
    help="What is varied: concurrency, nodes, prefetch, acks, transport, rtt, cpu-share or payload.",
)
@option(
    "--workload",
    type=WORKLOAD,
    help=f"What jobs do: {', '.join(WORKLOADS)}. [default: io; mixed for cpu-share]",
)
@option(
    "--memory", "memory_bytes", type=Size(MAX_MEMORY_BYTES), help="What a node may take, e.g. 512MiB; for the advice."
)
@option(
    "--pairs",
    type=Count(1, 1000),
    default=default_of(SweepSettings, "pairs"),
    help="Trials of each kind, lane and value.",
)
@option(
    "--duration",
    "trial_s",
    type=Duration(0.1, 3600),
    default=default_of(SweepSettings, "trial_s"),
    help="How long a trial should take.",
)
@option(
    "--utilisation",
    type=Share(0.05, 0.95),
    default=default_of(SweepSettings, "utilisation"),
    help="Held arrival rate, as a part of the slower lane's capacity at the same value.",
)
@option(
    "--margin",
    type=Share(0.001, 0.5),
    default=default_of(SweepSettings, "margin"),
    help="Lanes closer than this show no difference.",
)
@LIVE_OPTION
@fleet_options
@output_options
def sweep(*, as_json: bool, full: bool, junit: Path | None, live: bool | None, **options: Any) -> int:
    """Sweep as the options say, and report."""
    return run(sweep_settings(**options), as_json=as_json, full=full, junit=junit, live=live)


def sweep_settings(
    *,
    axis: Axis,
    workload: str | None,
    memory_bytes: int | None,
    pairs: int,
    trial_s: float,
    utilisation: float,
    margin: float,
    **shared: Any,
) -> SweepSettings:
    """
    Return the settings of a sweep from its options.

    Raises:
        UsageError: If two options contradict each other.
    """
    if axis.name == RTT and shared["rtt"] is not None:
        raise UsageError("--rtt: the sweep is over rtt already. Leave one of them out.")
    given = fleet_settings(shared, least_lanes=1)
    _check(axis, workload, given)
    base = given.pop("lanes")
    lanes = tuple(lane for value in axis.values for lane in axis.lanes(value, base)) if axis.of_lanes else base
    return SweepSettings(
        **given,
        workloads=(workload or _default_workload(axis.name, given["own_app"]),),
        axis=axis,
        base=base,
        lanes=lanes,
        memory_bytes=memory_bytes,
        pairs=pairs,
        trial_s=trial_s,
        utilisation=utilisation,
        margin=margin,
    )


def _check(axis: Axis, workload: str | None, given: dict[str, Any]) -> None:
    if axis.name == "cpu-share" and workload not in {None, "mixed"}:
        raise UsageError(f"--workload {workload!r}: only mixed jobs have a CPU share. Leave --workload out.")
    if given["own_app"]:
        _check_app(axis.name, workload, given["own_app"])
    if axis.of_lanes and not given["start_nodes"]:
        raise UsageError(
            f"--over {axis.name}: nodes that run already are raced as they are. Add --start-nodes, or vary cpu-share "
            "or payload."
        )


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
            f"--workload {workload!r}: no task of the jobs. Allowed: {one_of(workload, list(own_app.jobs))}."
        )
