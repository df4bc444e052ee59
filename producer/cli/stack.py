"""
Run the stack without Docker, as processes of this machine.

It is a broker, both workers, Flower and a gentle load, as docker-compose.yml has them.

The variables of .env.example apply, from the environment or from a file .env in this folder.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from producer.cli._command import group, option
from producer.stack.down import take_down
from producer.stack.passwords import flower_login
from producer.stack.settings import read_settings, with_dotenv
from producer.stack.state import StateFolder
from producer.stack.status import is_well, look, to_dict
from producer.stack.up import bring_up

if TYPE_CHECKING:
    from producer.stack.parts import Site

EXAMPLES = """\b
Examples:
  poolrace stack up
  poolrace stack status
  poolrace stack status --json
  poolrace stack down
  FLOWER_PORT=5556 POOLRACE_CONCURRENCY=4 poolrace stack up
  poolrace stack up --state /var/lib/poolrace/stack"""

NOT_WELL = 3
"""Exit code of `status` when a part is not well, or nothing runs."""

DEFAULT_STATE = ".poolrace"

STATE = option(
    "--state",
    envvar="POOLRACE_STATE",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE,
    help="The folder of logs, passwords and accepted jobs.",
)


@group(__doc__, epilog=EXAMPLES)
def stack() -> None:
    """Hold the subcommands."""


@stack.command("up", epilog=EXAMPLES)
@STATE
def up(state: Path) -> int:
    """Start what does not run yet, and return when jobs run on both pools. If a part fails, end what was started."""
    settings = read_settings(with_dotenv(os.environ, Path(".env")))
    site, is_new = bring_up(StateFolder(state), settings, click.echo)
    click.echo("Up: jobs run on both pools.")
    _print_addresses(site, show_password=is_new)
    return 0


@stack.command("down", epilog=EXAMPLES)
@STATE
def down(state: Path) -> int:
    """End what `up` has started, in order. Running jobs may take 75 s; what was accepted waits for the next `up`."""
    ran = take_down(StateFolder(state), click.echo)
    click.echo("Down. Jobs that wait are kept for the next start." if ran else f"Nothing of {state} runs.")
    return 0


@stack.command("status", epilog=EXAMPLES)
@STATE
@option("--json", "as_json", is_flag=True, help="Print it as JSON, without passwords.")
def status(state: Path, *, as_json: bool) -> int:
    """Print the state of each part, and Flower's login. Exit code 3 if a part is not well, or nothing runs."""
    site, parts = look(StateFolder(state))
    if as_json:
        click.echo(json.dumps(to_dict(site, parts), indent=2))
    elif site is None:
        click.echo(f"Nothing of {state} runs. Start it: poolrace stack up")
    else:
        for part in parts:
            click.echo(f"  {part.part:<16} {part.state:<12} {part.pid or '-':<8} {part.detail}")
        _print_addresses(site, show_password=True)
    return 0 if is_well(parts) else NOT_WELL


def _print_addresses(site: Site, *, show_password: bool) -> None:
    user, password = flower_login(site.state.secrets)
    program = sys.argv[0] if Path(sys.argv[0]).name == "poolrace" else "poolrace"
    chosen = "" if str(site.state.shown) == DEFAULT_STATE else f" --state {site.state.shown}"
    click.echo(f"Flower: {site.flower_url}  user: {user}  password: {password if show_password else '(as before)'}")
    click.echo(f"To race on it, or to steer its load:\n    . {shlex.quote(str(site.state.variables))}")
    click.echo(f"    {program} race\n    {program} live pause       (or resume, status, set --rate 10/s)")
    click.echo(f"How it is, with the password: {program} stack status{chosen}")
