"""
Plan a fleet: how many nodes, slots and brokers a rate needs.

The fleet is simulated job by job, fed with what stored runs have measured, and the simulation is held against runs that
it has not seen: its error is part of the answer. Nothing is started.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from producer.analysis.fleet_answer import answer_fleet
from producer.cli._command import FULL_OPTION, command, option
from producer.cli._exit_codes import BROKEN_THRESHOLD, EXIT_CODES
from producer.cli._param_types import THRESHOLD, WORKLOAD, Count, Duration, OneOf, Parsed, Rate, Share
from producer.errors import UsageError
from producer.plan.fleet_question import HIGHEST_PER_S, FleetQuestion, check_slo, parse_slots
from producer.plan.lane_settings import MAX_RTT_S
from producer.plan.workloads import ARRIVALS
from producer.report.fleet_plan import fleet_report
from producer.report.markdown import as_markdown
from producer.report.summary_json import to_json
from producer.report.terminal import console_for, show_parts
from producer.rundir.reader import read_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.plan.thresholds import Threshold

EXAMPLES = f"""\b
Examples:
  poolrace plan --rate 500/s --slo 'p99(sojourn) < 200ms' --from runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace plan --rate 20000/s --slo 'p99(sojourn) < 1s' --workload io --from runs/2026-01-31*
  poolrace plan --rate 500/s --slo 'p99(sojourn) < 200ms' --lane threads --slots 4..32 --from runs/2026-01-31*
  poolrace plan --rate 500/s --slo 'p99(sojourn) < 200ms' --rtt 2ms --node-cores 1 --from runs/2026-01-31*
  poolrace plan --rate 1000000/s --slo 'p99(sojourn) < 1s' --json --from runs/2026-01-31* > plan.json

{EXIT_CODES}"""

MAX_CORES = 1024


@command(__doc__, epilog=EXAMPLES)
@option("--rate", "rate_per_s", required=True, type=Rate(HIGHEST_PER_S), help="The arrival rate of the whole fleet.")
@option(
    "--slo",
    multiple=True,
    required=True,
    type=THRESHOLD,
    help="What must be kept; repeatable; times as in --threshold of `load`, or mem_per_slot.",
)
@option(
    "--from",
    "first",
    multiple=True,
    required=True,
    metavar="RUN [RUN]...",
    type=click.Path(path_type=Path),
    help="The runs to learn from: of race, load, limit or sweep, on one workload; two or more show the error best.",
)
@click.argument("more", nargs=-1, metavar="", type=click.Path(path_type=Path))
@option("--workload", type=WORKLOAD, help="What jobs do. [default: the only workload of the runs]")
@option("--lane", "lanes", multiple=True, metavar="NAME", help="A lane or pool of the runs; repeatable. [default: all]")
@option(
    "--slots",
    type=Parsed("n", parse_slots),
    help="Slots of a node to try: 8, 4,8,16 or 4..32, which doubles. [default: as measured]",
)
@option(
    "--node-cores", type=Share(0.1, MAX_CORES, "n"), help="Cores of a node. [default: those of the machine measured]"
)
@option("--rtt", "rtt_s", type=Duration(0, MAX_RTT_S), help="Round trip to the broker. [default: that of the runs]")
@option("--arrivals", type=OneOf(ARRIVALS), default="poisson", help="How jobs arrive.")
@option("--seed", type=Count(0, 2**53 - 1), default=1, help="Seed of all draws.")
@FULL_OPTION
@option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@option("--out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write it as Markdown, too.")
def plan(*, as_json: bool, full: bool, out: Path | None, **options: Any) -> int:
    """Answer from the runs, and print the answer."""
    paths, question = fleet_question(**options)
    found = answer_fleet([read_run(path) for path in paths], question)
    if out:
        _write(out, as_markdown(list(fleet_report(found, full=True))))
    if as_json:
        click.echo(to_json(found), nl=False)
    else:
        show_parts(fleet_report(found, full=full), console_for(sys.stdout))
    return 0 if found.met else BROKEN_THRESHOLD


def fleet_question(
    *,
    first: Sequence[Path],
    more: Sequence[Path],
    slo: Sequence[Threshold],
    lanes: Sequence[str],
    slots: Sequence[int] | None,
    workload: str | None,
    **rest: Any,
) -> tuple[list[Path], FleetQuestion]:
    """
    Return the runs and the question from the options.

    Raises:
        UsageError: If the SLO is about something that is not simulated.
    """
    check_slo(slo)
    paths = list({path.resolve(): path for path in (*first, *more)}.values())
    return paths, FleetQuestion(
        slo=tuple(slo), lanes=tuple(lanes), slots=tuple(slots or ()), workload=workload or "", **rest
    )


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {file}: cannot be written ({error.strerror}). Name another file.") from error
