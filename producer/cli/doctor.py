"""Report what this machine offers for a race, and how to get what is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from producer.cli._command import command, option
from producer.cli._options import OUT
from producer.fleet.doctor import doctor_exit, examine, render, to_dict

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = """\b
Examples:
  poolrace doctor
  poolrace doctor --broker redis://:PASSWORD@127.0.0.1:6379/0
  poolrace doctor --json"""


@command(__doc__, epilog=EXAMPLES)
@option("--broker", "broker_url", metavar="URL", help="Also check whether this broker can be used.")
@OUT
@option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(*, broker_url: str | None, out: Path, as_json: bool) -> int:
    """Examine the machine and print the findings."""
    findings = examine(out, broker_url)
    click.echo(json.dumps(to_dict(findings), indent=2) if as_json else render(findings))
    return doctor_exit(findings)
