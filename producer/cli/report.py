"""`poolrace report` and `poolrace compare`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from msgspec import to_builtins

from producer.cli.exit_codes import exit_with_message
from producer.cli.options import if_given
from producer.cli.output import show_summary, write, write_pictures, write_pictures_of_both
from producer.report.plain import plain

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


@click.command(epilog=REPORT_EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the summary alone, as JSON.")
@click.option("--markdown", is_flag=True, help="Print the report as Markdown.")
@click.option("--html", is_flag=True, help="Write the page with pictures, report.html in the run directory.")
@click.option("--png", metavar="FOLDER", help="Write each picture to a folder as PNG; needs a browser.",
              type=click.Path(path_type=Path, file_okay=False))  # fmt: skip
@click.option("--svg", metavar="FOLDER", help="The same as SVG.", type=click.Path(path_type=Path, file_okay=False))
@click.option("--core-hour", default=None, metavar="PRICE", help="Of a core for an hour, e.g. 0.04 or '0.04 EUR'.")
@exit_with_message
def report(
    run: Path, *, as_json: bool, markdown: bool, html: bool, png: Path | None, svg: Path | None, core_hour: str | None
) -> int:
    """Recompute a run's figures and verdicts from its records, and print them; with pictures, if they are wanted."""
    from producer.analysis.price import parse_price
    from producer.analysis.summary import summarise
    from producer.report.markdown import as_markdown
    from producer.rundir.reader import read_run

    found = read_run(run)
    summary = summarise(found, if_given(core_hour, parse_price))
    code = write(run, summary)
    for line in write_pictures(found, summary, html=html, files={"png": png, "svg": svg}):
        click.echo(line, err=True)
    if markdown and not as_json:
        click.echo(as_markdown(plain(summary)), nl=False)
    else:
        show_summary(summary, as_json=as_json)
    return code


@click.command(epilog=COMPARE_EXAMPLES)
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.option("--html", is_flag=True, help="Write a page with both side by side into the directory of the second.")
@exit_with_message
def compare(first: Path, second: Path, *, as_json: bool, html: bool) -> int:
    """
    Compare two runs that differ in one thing.

    Runs that differ in more are refused, with what they differ in: nobody could say which difference did it.
    """
    from producer.analysis.compare import compare_runs
    from producer.report.terminal import show_comparison
    from producer.rundir.reader import read_run

    runs = read_run(first), read_run(second)
    comparison = compare_runs(*runs)
    if html:
        click.echo(f"Page: {write_pictures_of_both(comparison, *runs)}", err=True)
    if as_json:
        click.echo(json.dumps(to_builtins(comparison), indent=2, allow_nan=False))
    else:
        show_comparison(to_builtins(comparison), sys.stdout)
    return 0
