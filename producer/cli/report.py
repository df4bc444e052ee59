"""
Recompute a run's figures and verdicts from its records, and print the answer.

With --full every figure. Of a folder of lessons, print what they found, and write their page again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from producer.analysis.price import parse_price
from producer.cli._command import FULL_OPTION, command, option
from producer.cli._output import RunReport, show_report, write, write_pictures
from producer.cli._param_types import Parsed
from producer.errors import UsageError
from producer.report.lessons import overview, to_json, whole
from producer.report.lessons_page import LESSONS, PAGE, read_lessons, write_lessons
from producer.report.markdown import as_markdown
from producer.report.terminal import console_for, show_parts

if TYPE_CHECKING:
    from producer.analysis.price import Price

EXAMPLES = """\b
Examples:
  poolrace report runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace report --full runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace report --json runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace report --markdown runs/2026-01-31T12-00-00Z-race-1a2b3c > report.md
  poolrace report --html runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace report --png pictures runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace report runs/2026-01-31T12-00-00Z-lessons
  poolrace report --html --core-hour '0.04 EUR' runs/2026-01-31T12-00-00Z-race-1a2b3c"""

PRICE = Parsed("price", lambda text, _: parse_price(text))
FOLDER = click.Path(path_type=Path, file_okay=False)


@command(__doc__, epilog=EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@FULL_OPTION
@option("--json", "as_json", is_flag=True, help="Print the summary alone, as JSON.")
@option("--markdown", is_flag=True, help="Print the whole report as Markdown.")
@option("--html", is_flag=True, help="Write the page with pictures, report.html in the run directory.")
@option("--png", metavar="FOLDER", type=FOLDER, help="Write each picture to a folder as PNG; needs a browser.")
@option("--svg", metavar="FOLDER", type=FOLDER, help="Write each picture to a folder as SVG; needs a browser.")
@option(
    "--core-hour", type=PRICE, help="The price of a core for an hour, e.g. 0.04 or '0.04 EUR'. Prints the whole report."
)
def report(
    run: Path,
    *,
    full: bool,
    as_json: bool,
    markdown: bool,
    html: bool,
    png: Path | None,
    svg: Path | None,
    core_hour: Price | None,
) -> int:
    """Summarise a run again, and write and print the summary."""
    if (run / LESSONS).is_file():
        refused = [name for name, value in (("--png", png), ("--svg", svg), ("--core-hour", core_hour)) if value]
        if refused:
            raise UsageError(
                f"{' and '.join(refused)}: lessons have none; their pictures are on their page, {run / PAGE}. "
                "--full, --json, --markdown and --html work for them."
            )
        return _report_lessons(run, full=full, as_json=as_json, markdown=markdown)
    found = RunReport.of(run, core_hour)
    code = write(found)
    for line in write_pictures(found, html=html, files={"png": png, "svg": svg}):
        click.echo(line, err=True)
    if markdown and not as_json:
        click.echo(as_markdown(found.document), nl=False)
    else:
        show_report(found, as_json=as_json, full=full or core_hour is not None)
    return code


def _report_lessons(folder: Path, *, full: bool, as_json: bool, markdown: bool) -> int:
    """Print what lessons found, and write their page again."""
    run = read_lessons(folder)
    write_lessons(run, folder)
    if as_json:
        click.echo(to_json(run), nl=False)
    elif markdown:
        click.echo(as_markdown(whole(run)), nl=False)
    else:
        one = len({each.lesson for each in run.results}) == 1
        show_parts(whole(run) if full or one else overview(run), console_for(sys.stdout))
    click.echo(f"Page: {folder / PAGE}", err=True)
    return 0
