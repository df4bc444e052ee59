"""What every command shares: how an error becomes a message and an exit code, and where the broker is."""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from poolrace import credentials
from producer.errors import InterruptedRunError, InvalidRunError, PoolraceError, UsageError
from producer.interrupts import held

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


BROKEN_THRESHOLD = 99
"""Exit code of a run that was good and did not keep a threshold."""


def tells_errors(command: Callable[..., int]) -> Callable[..., None]:
    """A command whose errors become one message and an exit code; a bug keeps its traceback."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            code = command(*arguments, **options)
        except PoolraceError as error:
            code = tell(error)
        except KeyboardInterrupt:
            code = tell(InterruptedRunError("Interrupted."))
        except BrokenPipeError:
            # The reader of our output has gone, as in `poolrace report … | head`.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        raise SystemExit(code)

    return run


def tell(error: PoolraceError) -> int:
    """Print an error where errors go; returns its exit code."""
    click.echo(f"poolrace: {error}", err=True)
    return error.exit_code


def broker_from_environment() -> str | None:
    """
    The broker that a container of the stack is told of, password and all; None anywhere else.

    Raises:
        UsageError: If the environment names a file that cannot be used.
    """
    try:
        return credentials.broker_url(os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from error


def finish(path: Path, error: PoolraceError | None, *, as_json: bool, junit: Path | None = None) -> int:
    """Report a run that has ended, in order or not; returns the exit code."""
    with held():  # a race that is through has its summary, whatever becomes of the printing
        from producer.summary import summarise

        summary = summarise(path)
        code = write(path, summary)
        if junit:
            write_junit(junit, summary)
    if error is not None and not summary["workloads"]:
        click.echo(f"Nothing was measured. Logs are in {path / 'logs'}.", err=True)
        return tell(error)
    show_summary(summary, as_json=as_json)
    _page_of(path, summary, tell=not as_json)
    if error is not None:
        click.echo(f"What was measured until then is kept, marked {summary['status']}: {path}", err=True)
        return tell(error)
    return code


def write(path: Path, summary: Mapping[str, Any]) -> int:
    """Write what the run found beside its records; returns the exit code. Where there is no room it is still told."""
    from producer.summary import write_summary

    try:
        write_summary(path, summary)
    except PoolraceError as error:
        return tell(error)
    if not summary["valid"]:
        return InvalidRunError.exit_code
    return 0 if kept(summary) else BROKEN_THRESHOLD


def _page_of(path: Path, summary: Mapping[str, Any], *, tell: bool) -> None:
    """Write the page of a run that has ended: it is kept and told, whatever becomes of its pictures."""
    try:
        for line in draw(path, summary, html=True):
            if tell:
                click.echo(line, err=True)
    except Exception as error:  # even one of ours: the run itself is good
        click.echo(f"The page with pictures was not made: {type(error).__name__}: {error}", err=True)


def draw(
    path: Path, summary: Mapping[str, Any], *, html: bool, files: Mapping[str, Path | None] | None = None
) -> list[str]:
    """
    Write pictures of a run.

    Args:
        path: Its directory.
        summary: What it found.
        html: As a page in the directory.
        files: By format, a folder for a file each; None for none.

    Returns:
        A line for each thing written.

    Raises:
        UsageError: If there is no place for it, or no browser to draw files.
        FleetError: If the browser does not draw.
    """
    folders = {kind: folder for kind, folder in (files or {}).items() if folder is not None}
    if not html and not folders:
        return []
    from producer.charts.export import export
    from producer.charts.gallery import pictures_of
    from producer.charts.page import page
    from producer.rundir import RunWriter, read_run

    run = read_run(path)
    told = []
    if html:
        RunWriter(path, {}).write_text("report.html", page(summary, run))
        told.append(f"Page: {path / 'report.html'}")
    for kind, folder in folders.items():
        told += [f"Picture: {file}" for file in export(pictures_of(summary, run), folder, kind)]
    return told


def draw_both(found: Mapping[str, Any], first: Path, second: Path) -> Path:
    """
    Write the page of two runs side by side into the directory of the second.

    Raises:
        UsageError: If there is no place for it.
    """
    from producer.charts.page import page_of_both
    from producer.rundir import RunWriter, read_run
    from producer.summary import summarise

    paths = (first, second)
    text = page_of_both(found, [summarise(path) for path in paths], [read_run(path) for path in paths])
    name = f"compared-with-{first.resolve().name}.html"
    RunWriter(second, {}).write_text(name, text)
    return second / name


def kept(summary: Mapping[str, Any]) -> bool:
    """Whether nothing that was asked of the lanes was broken."""
    held_up = all(judged["kept"] for lane in summary["load"] for judged in lane["thresholds"])
    found = all(lane["confirmed"] for lane in summary["limit"])
    return held_up and found and not summary["aborted"]


def write_junit(path: Path, summary: Mapping[str, Any]) -> None:
    """
    Write what a run found for a CI server.

    Raises:
        UsageError: If there is no place for it.
    """
    from producer.report.junit import as_junit

    try:
        path.write_bytes(as_junit(summary))
    except OSError as error:
        raise UsageError(f"--junit {path}: cannot be written ({error.strerror}). Name another file.") from error


def show_summary(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what a run found: as a report, or as JSON and nothing else."""
    from producer.report.terminal import show

    if as_json:
        click.echo(json.dumps(summary, indent=2, allow_nan=False))
    else:
        show(summary, sys.stdout)
