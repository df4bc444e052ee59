"""`poolrace export`: a run in the format of another tool, to a file, to the next program, or to a Pushgateway."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from producer.cli.exit_codes import exit_with_message
from producer.errors import UsageError
from producer.plan.stages import STAGES
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from producer.report.export.rows import Choice
    from producer.rundir.run import Run

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


@click.command(epilog=EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "format_", required=True, type=click.Choice(FORMATS), help="What to write.")
@click.option("--what", default=None, type=click.Choice(list(STAGES)),
              help=f"Of hgrm: the stretch of a job's life. [default: {DEFAULT_WHAT}]")  # fmt: skip
@click.option("--lane", default=None, metavar="KEY", help="This lane alone, e.g. threads.")
@click.option("--workload", default=None, metavar="NAME", help="This workload alone, e.g. io.")
@click.option("--kind", default=None, type=click.Choice([kind.value for kind in Kind]),
              help="Trials of this kind alone.")  # fmt: skip
@click.option("--warm-up", is_flag=True, help="Warm-up trials, too, and a load's phases that do not count.")
@click.option("--output", default=None, metavar="FILE", help="Where to; - is the standard output. [default: -]")
@click.option("--push", "push_url", default=None, metavar="URL",
              help="Of openmetrics: put it to a Pushgateway; --output then only if given.")  # fmt: skip
@exit_with_message
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
    """
    Write a run's records in the format of another tool.

    Warm-up trials are left out. A file is replaced in one step, once the new one is whole.
    """
    _must_fit(format_, what, push_url)
    from producer.report.export.rows import Choice
    from producer.rundir.reader import read_run

    choice = Choice(lane=lane, workload=workload, kind=Kind(kind) if kind else None, warm_up=warm_up)
    found = read_run(run)
    if push_url is not None:
        _push(push_url, found, choice)
        if output is None:
            return 0
    write_to(output or STDOUT, _pieces(found, choice, format_, what or DEFAULT_WHAT))
    return 0


def _must_fit(format_: str, what: str | None, push_url: str | None) -> None:
    if what is not None and format_ != "hgrm":
        raise UsageError(f"--what {what}: only a distribution is of one stretch. Leave it out, or use --format hgrm.")
    if push_url is not None and format_ != "openmetrics":
        raise UsageError(f"--push: a Pushgateway does not take {format_}. Use --format openmetrics.")


def _pieces(run: Run, choice: Choice, format_: str, what: str) -> Iterable[str]:
    """The text of a format, piece by piece."""
    if format_ == "hgrm":
        from producer.report.export.hgrm import hgrm

        return hgrm(run, choice, what)
    if format_ == "trace":
        from producer.report.export.trace import trace

        return trace(run, choice)
    if format_ == "openmetrics":
        from producer.report.export.openmetrics import openmetrics

        return openmetrics(run, choice)
    from producer.report.export.rows import csv, jsonl

    return csv(run, choice) if format_ == "csv" else jsonl(run, choice)


def _push(url: str, run: Run, choice: Choice) -> None:
    """Put a run's metrics to a Pushgateway, and say so."""
    from producer.report.export.openmetrics import RunMetrics, push

    push(url, RunMetrics(run, choice))
    click.echo("Pushed.", err=True)


def write_to(output: str, pieces: Iterable[str]) -> None:
    """
    Write text as it comes, to the standard output or to a file.

    A file that is there stays until the new one is whole; what is no plain file, such as a pipe, is written to.

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
            _replace(target, pieces)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"--output {output}: cannot be written ({error.strerror}). Name another file.") from error


def _replace(target: Path, pieces: Iterable[str]) -> None:
    draft = target.with_name(f"{target.name}.part")
    try:
        with draft.open("wb") as file:
            _write(file, pieces)
        draft.replace(target)
    finally:
        with suppress(OSError):
            draft.unlink()


def _write(file: BinaryIO, pieces: Iterable[str]) -> None:
    file.writelines(piece.encode() for piece in pieces)
    file.flush()
