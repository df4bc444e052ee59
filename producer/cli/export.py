"""
Write a run's records in the format of another tool.

Warm-up trials are left out. A file is replaced in one step, once the new one is whole.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from producer.cli._command import command, option
from producer.cli._param_types import OneOf
from producer.errors import UsageError
from producer.files import replaced
from producer.plan.stages import STAGES
from producer.report.export import openmetrics, rows
from producer.report.export.hgrm import hgrm
from producer.report.export.rows import Choice
from producer.report.export.trace import trace
from producer.rundir.reader import read_run
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import IO

    from producer.rundir.run import Run

WRITERS: Mapping[str, Callable[[Run, Choice], Iterable[str]]] = {
    "csv": rows.csv,
    "jsonl": rows.jsonl,
    "trace": trace,
    "openmetrics": openmetrics.openmetrics,
}
FORMATS = ("csv", "jsonl", "hgrm", "trace", "openmetrics")
STDOUT = "-"
DEFAULT_WHAT = "sojourn"

EXAMPLES = """\b
Examples:
  poolrace export runs/2026-01-31T12-00-00Z-load-1a2b3c --format csv > jobs.csv
  poolrace export runs/2026-01-31T12-00-00Z-load-1a2b3c --format jsonl --lane threads --output jobs.jsonl
  poolrace export runs/2026-01-31T12-00-00Z-race-1a2b3c --format hgrm --lane prefork --workload io --kind latency
  poolrace export runs/2026-01-31T12-00-00Z-load-1a2b3c --format hgrm --what queue_wait --workload io > io.hgrm
  poolrace export runs/2026-01-31T12-00-00Z-load-1a2b3c --format trace --output trace.json
  poolrace export runs/2026-01-31T12-00-00Z-load-1a2b3c --format openmetrics
  poolrace export RUN --format openmetrics --push http://127.0.0.1:9091/metrics/job/poolrace

\b
Formats: csv, jsonl (one row a delivery); hgrm (HdrHistogram's percentile distribution, in ms);
  trace (a time line of every slot, for https://ui.perfetto.dev); openmetrics (for Prometheus)"""


@command(__doc__, epilog=EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@option("--format", "format_", required=True, type=OneOf(FORMATS), help="The format to write.")
@option("--what", type=OneOf(list(STAGES)), help=f"With hgrm: the stage of a job's life. [default: {DEFAULT_WHAT}]")
@option("--lane", metavar="KEY", help="This lane alone, e.g. threads.")
@option("--workload", metavar="NAME", help="This workload alone, e.g. io.")
@option("--kind", type=OneOf([kind.value for kind in Kind]), help="Trials of this kind alone.")
@option("--warm-up", is_flag=True, help="Warm-up trials, too, lead-ins, and a load's phases that do not count.")
@option("--output", metavar="FILE", help="The file to write; - is the standard output. [default: -]")
@option(
    "--push",
    "push_url",
    metavar="URL",
    help="With openmetrics: put it to a Pushgateway, and write it only if --output is given.",
)
def export(
    run: Path,
    *,
    format_: str,
    what: str | None,
    lane: str | None,
    workload: str | None,
    kind: str | None,
    warm_up: bool,
    output: str | None,
    push_url: str | None,
) -> int:
    """Write or push the records of a run."""
    _check(format_, what, push_url)
    choice = Choice(lane=lane, workload=workload, kind=Kind(kind) if kind else None, warm_up=warm_up)
    found = read_run(run)
    if push_url is not None:
        openmetrics.push(push_url, openmetrics.RunMetrics(found, choice))
        click.echo("Pushed.", err=True)
        if output is None:
            return 0
    write_to(output or STDOUT, _pieces(found, choice, format_, what or DEFAULT_WHAT))
    return 0


def _check(format_: str, what: str | None, push_url: str | None) -> None:
    if what is not None and format_ != "hgrm":
        raise UsageError(f"--what {what}: only a distribution is of one stage. Leave it out, or use --format hgrm.")
    if push_url is not None and format_ != "openmetrics":
        raise UsageError(f"--push: a Pushgateway does not take {format_}. Use --format openmetrics.")


def _pieces(run: Run, choice: Choice, format_: str, what: str) -> Iterable[str]:
    """Return the text of a format, piece by piece."""
    if format_ == "hgrm":
        return hgrm(run, choice, what)
    return WRITERS[format_](run, choice)


def write_to(output: str, pieces: Iterable[str]) -> None:
    """
    Write text as it comes, to the standard output or to a file.

    A file that is there stays until the new one is whole; a pipe or a device is written to.

    Raises:
        UsageError: If there is no place for it.
    """
    if output == STDOUT:
        _write(sys.stdout.buffer, pieces)
        return
    target = Path(output).resolve()
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            with target.open("wb") as file:
                _write(file, pieces)
        else:
            with replaced(target) as file:
                _write(file, pieces)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"--output {output}: cannot be written ({error.strerror}). Name another file.") from error


def _write(file: IO[bytes], pieces: Iterable[str]) -> None:
    file.writelines(piece.encode() for piece in pieces)
    file.flush()
