"""
Compare two runs that differ in one thing.

Runs that differ in more are refused, with the differences: nobody could say which of them made the change.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from producer.analysis.compare import compare_runs
from producer.cli._command import command, option
from producer.cli._output import write_pictures_of_both
from producer.report.comparison import comparison
from producer.report.summary_json import to_json
from producer.report.terminal import console_for, show_parts
from producer.rundir.reader import read_run

EXAMPLES = """\b
Examples:
  poolrace race --out before
  poolrace race --out after --like before/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace compare before/2026-01-31T12-00-00Z-race-1a2b3c after/2026-02-01T12-00-00Z-race-4d5e6f
  poolrace compare --html before/2026-01-31T12-00-00Z-race-1a2b3c after/2026-02-01T12-00-00Z-race-4d5e6f"""


@command(__doc__, epilog=EXAMPLES)
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@option("--html", is_flag=True, help="Write a page with both side by side into the directory of the second.")
def compare(first: Path, second: Path, *, as_json: bool, html: bool) -> int:
    """Compare two runs and print the changes."""
    runs = read_run(first), read_run(second)
    found = compare_runs(*runs)
    if html:
        click.echo(f"Page: {write_pictures_of_both(found, *runs)}", err=True)
    if as_json:
        click.echo(to_json(found), nl=False)
    else:
        show_parts(comparison(found), console_for(sys.stdout))
    return 0
