"""`poolrace doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from producer.cli.exit_codes import exit_with_message

DOCTOR_EXAMPLES = """\b
Examples:
  poolrace doctor
  poolrace doctor --broker redis://:PASSWORD@127.0.0.1:6379/0
  poolrace doctor --json"""


@click.command(epilog=DOCTOR_EXAMPLES)
@click.option("--broker", default=None, metavar="URL", help="Also see whether this broker can be used.")
@click.option("--out", default="runs", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Where run directories would go.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@exit_with_message
def doctor(broker: str | None, out: Path, *, as_json: bool) -> int:
    """Say what this machine offers for a race and what is missing, with the remedy."""
    from producer.fleet.doctor import doctor_exit, examine, render, to_dict

    findings = examine(out, broker)
    if as_json:
        click.echo(json.dumps(to_dict(findings), indent=2))
    else:
        click.echo(render(findings))
    return doctor_exit(findings)
