"""
Report what this machine offers for a race, and how to get what is missing.

With --python, what another interpreter offers: whether it can run a node, and, if it is free-threaded, which import
turns its GIL back on.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from producer.cli._command import command, option
from producer.cli._options import FOLDER, OUT
from producer.errors import UsageError
from producer.fleet.doctor import doctor_exit, examine, examine_interpreter, render, to_dict
from producer.fleet.environment import app_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EXAMPLES = """\b
Examples:
  poolrace doctor
  poolrace doctor --broker redis://:PASSWORD@127.0.0.1:6379/0
  poolrace doctor --python python3.14t
  poolrace doctor --python python3.14t --app shop.celery:app --workdir examples/shop
  poolrace doctor --json"""


@command(__doc__, epilog=EXAMPLES)
@option("--broker", "broker_url", metavar="URL", help="Also check whether this broker can be used.")
@option("--python", metavar="PATH", help="Check this interpreter instead: can it run a node, does its GIL stay off?")
@option("--app", metavar="APP", default="", help="With --python: your own Celery app, whose imports are tried.")
@option("--workdir", type=FOLDER, metavar="DIR", default=".", help="With --app: where it is imported.")
@OUT
@option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_obj
def doctor(
    environment: Mapping[str, str],
    *,
    broker_url: str | None,
    python: str | None,
    app: str,
    workdir: Path,
    out: Path,
    as_json: bool,
) -> int:
    """Examine the machine, or another interpreter, and print the findings."""
    if app and not python:
        raise UsageError(f"--app: is for another interpreter. Name it, e.g. --python {sys.executable}.")
    if python:
        findings = examine_interpreter(python, app, workdir, app_environment(environment))
    else:
        findings = examine(out, broker_url)
    click.echo(json.dumps(to_dict(findings), indent=2) if as_json else render(findings))
    return doctor_exit(findings)
