"""The command line: `poolrace`. Options become settings here; errors become messages and exit codes here."""

from __future__ import annotations

import os

import click

from poolrace import __version__
from producer import interrupts
from producer.cli.doctor import doctor
from producer.cli.export import export
from producer.cli.limit import limit
from producer.cli.live import live
from producer.cli.load import load, steer
from producer.cli.race import race
from producer.cli.record import record
from producer.cli.report import compare, report
from producer.cli.secrets import flower, secrets
from producer.cli.stack import stack
from producer.cli.sweep import sweep


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="\b\nExamples:\n  poolrace doctor\n  poolrace race\n  poolrace report runs/2026-01-31T12-00-00Z-race-1a2b3c",
)
@click.version_option(__version__, prog_name="poolrace")
@click.pass_context
def main(context: click.Context) -> None:
    """Race Celery's worker pools on the same jobs, and say which to use, with evidence."""
    # These lead Celery to somebody else's broker whatever the code says; a race uses its own, or the one named.
    # A user's own app gets the environment as it was.
    context.obj = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("CELERY_")]:
        del os.environ[name]
    interrupts.install()


for command in (race, report, compare, doctor, export, live, limit, load, sweep, record, steer, secrets, flower, stack):
    main.add_command(command)
