"""Writes and shows what a run found: summary, report, page, pictures and JUnit."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import click

from producer.analysis.summary import summarise
from producer.cli._exit_codes import BROKEN_THRESHOLD, print_error
from producer.errors import InvalidRunError, PoolraceError, UsageError
from producer.interrupts import held
from producer.report.charts.files import export
from producer.report.charts.gallery import pictures_of
from producer.report.charts.page import page, page_of_both
from producer.report.document import document
from producer.report.first_screen import closing, first_screen
from producer.report.junit import as_junit
from producer.report.markdown import as_markdown
from producer.report.summary_json import to_json
from producer.report.terminal import show, show_first
from producer.rundir.reader import read_run
from producer.rundir.writer import RunWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from producer.analysis.compare import Comparison
    from producer.analysis.price import Price
    from producer.analysis.summary import Summary
    from producer.report.first_screen import Cut
    from producer.report.parts import Part
    from producer.rundir.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """
    A run with what it found, read and computed once for all that is written and shown of it.

    Attributes:
        run: The run.
        summary: Its figures and verdicts.
        document: The parts of its whole report.
    """

    run: Run
    summary: Summary
    document: Sequence[Part]

    @classmethod
    def of(cls, path: Path, price: Price | None = None) -> Self:
        """
        Read a run directory and compute what it found.

        Raises:
            UsageError: If it cannot be read.
        """
        run = read_run(path)
        summary = summarise(run, price)
        return cls(run=run, summary=summary, document=document(summary))

    def first_screen(self, cut: Cut) -> Sequence[Part]:
        """Return the parts that a terminal shows first, cut as it is told."""
        return first_screen(self.summary, self.run.path, cut, has_page=self._has_page)

    def whole(self) -> Sequence[Part]:
        """Return all parts, and where they are from."""
        return [*self.document, closing(self.summary, self.run.path, has_page=self._has_page, whole=True)]

    @property
    def _has_page(self) -> bool:
        return (self.run.path / "report.html").is_file()


def finish(
    path: Path, error: PoolraceError | None, *, as_json: bool, full: bool = False, junit: Path | None = None
) -> int:
    """Report a run that has ended, in order or not, and return the exit code."""
    with held():  # the summary is written even if printing fails
        report = RunReport.of(path)
        code = write(report)
        if junit:
            write_junit(junit, report.summary)
    if error is not None and not report.summary.workloads:
        click.echo(f"Nothing was measured. Logs are in {path / 'logs'}.", err=True)
        return print_error(error)
    show_report(report, as_json=as_json, full=full)
    _write_page(report, announce=not as_json)
    if error is not None:
        click.echo(f"What was measured until then is kept, marked {report.summary.status}: {path}", err=True)
        return print_error(error)
    return code


def write(report: RunReport) -> int:
    """Write what the run found beside its records, or say why that cannot be done; return the exit code."""
    try:
        write_summary(report)
    except PoolraceError as error:
        return print_error(error)
    if not report.summary.valid:
        return InvalidRunError.exit_code
    return 0 if report.summary.met else BROKEN_THRESHOLD


def _write_page(report: RunReport, *, announce: bool) -> None:
    """Write the page of a run that has ended; the run is good even if its page cannot be made."""
    try:
        for line in write_pictures(report, html=True):
            if announce:
                click.echo(line, err=True)
    except Exception as error:  # even an error of Poolrace itself
        click.echo(f"The page with pictures was not made: {type(error).__name__}: {error}", err=True)


def write_pictures(report: RunReport, *, html: bool, files: Mapping[str, Path | None] | None = None) -> list[str]:
    """
    Write pictures of a run.

    Args:
        report: The run and what it found.
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

    run, written = report.run, []
    if html:
        RunWriter(run.path, {}).write_text("report.html", page(report.summary, run))
        written.append(f"Page: {run.path / 'report.html'}")
    for kind, folder in folders.items():
        written += [f"Picture: {file}" for file in export(pictures_of(report.summary, run), folder, kind)]
    return written


def write_pictures_of_both(found: Comparison, first: Run, second: Run) -> Path:
    """
    Write the page of two runs side by side into the directory of the second.

    Raises:
        UsageError: If there is no place for it.
    """
    runs = (first, second)
    text = page_of_both(found, [summarise(run) for run in runs], runs)
    name = f"compared-with-{first.path.resolve().name}.html"
    RunWriter(second.path, {}).write_text(name, text)
    return second.path / name


def write_junit(path: Path, summary: Summary) -> None:
    """
    Write what a run found for a CI server.

    Raises:
        UsageError: If there is no place for it.
    """
    write_for_ci(path, as_junit(summary))


def write_for_ci(path: Path, text: bytes) -> None:
    """
    Write JUnit XML where `--junit` says.

    Raises:
        UsageError: If there is no place for it.
    """
    try:
        path.write_bytes(text)
    except OSError as error:
        raise UsageError(f"--junit {path}: cannot be written ({error.strerror}). Name another file.") from error


def show_report(report: RunReport, *, as_json: bool, full: bool) -> None:
    """Print what a run found: the answer, the whole report, or JSON and nothing else."""
    if as_json:
        click.echo(to_json(report.summary), nl=False)
    elif full:
        show(report.whole(), sys.stdout)
    else:
        show_first(report.first_screen, sys.stdout)


def write_summary(report: RunReport) -> None:
    """Write `summary.json` and `report.md` into the run directory."""
    writer = RunWriter(report.run.path, {})
    writer.write_text("summary.json", to_json(report.summary))
    writer.write_text("report.md", as_markdown(report.document))
