"""The command line: `poolrace`. Options become settings here; errors become messages and exit codes here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from poolrace import __version__
from producer import interrupts
from producer.adoption.environment import set_aside
from producer.commands import draw, draw_both, finish, show_summary, tells_errors, write
from producer.errors import UsageError
from producer.export.cli import export
from producer.lanes import one_of, whole_number
from producer.limit.cli import limit
from producer.live_cli import live
from producer.load.cli import load, steer
from producer.options import LIVE_OPTION, fleet_options, fleet_settings, if_given, output_options
from producer.recording.cli import record
from producer.secrets_cli import flower, secrets
from producer.settings import WORKLOADS, RaceSettings, fraction, parse_duration_s
from producer.stack_cli import stack
from producer.sweep.cli import sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_CODES = """\b
Exit codes:
  0    good
  2    the command line, or a file it names, is not what the command needs
  3    the broker or a node cannot be started, reached or kept alive
  4    the run is invalid: the generator was late, or jobs are missing
  130  Ctrl-C; what was measured until then is kept"""

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

REPORT_EXAMPLES = """\b
Examples:
  poolrace report runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace report --json runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace report --markdown runs/2026-01-31T12-00-00Z-race-1a2b3c > report.md
  poolrace report --html runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace report --png pictures runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace report --html --core-hour '0.04 EUR' runs/2026-01-31T12-00-00Z-race-1a2b3c"""

COMPARE_EXAMPLES = """\b
Examples:
  poolrace race --out before
  poolrace race --out after --like before/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace compare before/2026-01-31T12-00-00Z-race-1a2b3c after/2026-02-01T12-00-00Z-race-4d5e6f
  poolrace compare --html before/2026-01-31T12-00-00Z-race-1a2b3c after/2026-02-01T12-00-00Z-race-4d5e6f"""

DOCTOR_EXAMPLES = """\b
Examples:
  poolrace doctor
  poolrace doctor --broker redis://:PASSWORD@127.0.0.1:6379/0
  poolrace doctor --json"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="\b\nExamples:\n  poolrace doctor\n  poolrace race\n  poolrace report runs/2026-01-31T12-00-00Z-race-1a2b3c",
)
@click.version_option(__version__, prog_name="poolrace")
def main() -> None:
    """Race Celery's worker pools on the same jobs, and say which to use, with evidence."""
    # These lead Celery to somebody else's broker whatever the code says; a race uses its own, or the one named.
    set_aside({name: os.environ.pop(name) for name in list(os.environ) if name.startswith("CELERY_")})
    interrupts.install()


main.add_command(export)
main.add_command(live)
main.add_command(limit)
main.add_command(load)
main.add_command(sweep)
main.add_command(record)
main.add_command(steer)
main.add_command(secrets)
main.add_command(flower)
main.add_command(stack)


@main.command(epilog=RACE_EXAMPLES)
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
@tells_errors
def race(*, as_json: bool, junit: Path | None, live: bool | None, quick: bool, **options: Any) -> int:
    """
    Race pools on the same jobs, on this machine, and print the verdict.

    Starts a broker and the nodes of each lane, lets trials alternate between the lanes, and ends all it started. Writes
    a run directory from which `poolrace report` recomputes everything. About 110 s on two cores.
    """
    settings = race_settings(quick=quick, **options)
    from producer.race import run_race
    from producer.report.progress import progress_for

    with progress_for(quiet=as_json, live=live) as progress:
        path, error = run_race(settings, progress)
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
    from producer.load.profile import parse_rate

    given = fleet_settings(**shared)
    adopted = given["adopted"]
    if adopted and (unknown := [name for name in workloads if name not in adopted.jobs]):
        raise UsageError(
            f"--workload {unknown[0]}: no task of the jobs. Allowed: {one_of(unknown[0], list(adopted.jobs))}."
        )
    own = {} if adopted is None else {"adopted": adopted, "workloads": tuple(adopted.jobs)}
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


@main.command(epilog=REPORT_EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the summary alone, as JSON.")
@click.option("--markdown", is_flag=True, help="Print the report as Markdown.")
@click.option("--html", is_flag=True, help="Write the page with pictures, report.html in the run directory.")
@click.option("--png", metavar="FOLDER", help="Write each picture to a folder as PNG; needs a browser.",
              type=click.Path(path_type=Path, file_okay=False))  # fmt: skip
@click.option("--svg", metavar="FOLDER", help="The same as SVG.", type=click.Path(path_type=Path, file_okay=False))
@click.option("--core-hour", default=None, metavar="PRICE", help="Of a core for an hour, e.g. 0.04 or '0.04 EUR'.")
@tells_errors
def report(
    run: Path, *, as_json: bool, markdown: bool, html: bool, png: Path | None, svg: Path | None, core_hour: str | None
) -> int:
    """Recompute a run's figures and verdicts from its records, and print them; with pictures, if they are wanted."""
    from producer.price import parse_price
    from producer.report.markdown import as_markdown
    from producer.summary import summarise

    summary = summarise(run, if_given(core_hour, parse_price))
    code = write(run, summary)
    for line in draw(run, summary, html=html, files={"png": png, "svg": svg}):
        click.echo(line, err=True)
    if markdown and not as_json:
        click.echo(as_markdown(summary), nl=False)
    else:
        show_summary(summary, as_json=as_json)
    return code


@main.command(epilog=COMPARE_EXAMPLES)
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.option("--html", is_flag=True, help="Write a page with both side by side into the directory of the second.")
@tells_errors
def compare(first: Path, second: Path, *, as_json: bool, html: bool) -> int:
    """
    Compare two runs that differ in one thing.

    Runs that differ in more are refused, with what they differ in: nobody could say which difference did it.
    """
    from producer.compare import compare_runs
    from producer.report.terminal import show_comparison

    comparison = compare_runs(first, second)
    if html:
        click.echo(f"Page: {draw_both(comparison, first, second)}", err=True)
    if as_json:
        click.echo(json.dumps(comparison, indent=2, allow_nan=False))
    else:
        show_comparison(comparison, sys.stdout)
    return 0


@main.command(epilog=DOCTOR_EXAMPLES)
@click.option("--broker", default=None, metavar="URL", help="Also see whether this broker can be used.")
@click.option("--out", default="runs", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Where run directories would go.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@tells_errors
def doctor(broker: str | None, out: Path, *, as_json: bool) -> int:
    """Say what this machine offers for a race and what is missing, with the remedy."""
    from producer.doctor import doctor_exit, examine, render, to_dict

    findings = examine(out, broker)
    if as_json:
        click.echo(json.dumps(to_dict(findings), indent=2))
    else:
        click.echo(render(findings))
    return doctor_exit(findings)
