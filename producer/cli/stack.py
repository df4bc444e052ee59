"""`poolrace stack`: the stack of docker-compose.yml as processes of this machine, for hosts without Docker."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from producer.cli.exit_codes import exit_with_message

if TYPE_CHECKING:
    from producer.stack.parts import Site

EXAMPLES = """\b
Examples:
  poolrace stack up
  poolrace stack status
  poolrace stack status --json
  poolrace stack down
  FLOWER_PORT=5556 POOLRACE_SLOTS=4 poolrace stack up
  poolrace stack up --state /var/lib/poolrace/stack"""

NOT_WELL = 3
"""Exit code of `status` when a part is not well, or nothing runs."""

state_option = click.option(
    "--state", default=".poolrace", show_default=True, envvar="POOLRACE_STATE", metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False), help="Where logs, passwords and accepted jobs are kept.",
)  # fmt: skip


@click.group(epilog=EXAMPLES)
def stack() -> None:
    """
    Broker, both workers, Flower and a gentle load, as processes of this machine: the stack without Docker.

    The variables of .env.example apply, from the environment or from a file .env in this folder.
    """


@stack.command("up", epilog=EXAMPLES)
@state_option
@exit_with_message
def up(state: Path) -> int:
    """Start what does not run yet, and return when jobs can run on both pools. If a part fails, end what was begun."""
    from producer.stack.settings import read_settings, with_dotenv
    from producer.stack.state import StateFolder
    from producer.stack.up import bring_up

    settings = read_settings(with_dotenv(os.environ, Path(".env")))
    site, is_new = bring_up(StateFolder(state), settings, click.echo)
    click.echo("Up: jobs run on both pools.")
    _tell_where(site, show_password=is_new)
    return 0


@stack.command("down", epilog=EXAMPLES)
@state_option
@exit_with_message
def down(state: Path) -> int:
    """End what `up` has started, in order. Running jobs may take 75 s; what was accepted waits for the next `up`."""
    from producer.stack.down import take_down
    from producer.stack.state import StateFolder

    ran = take_down(StateFolder(state), click.echo)
    click.echo("Down. Jobs that wait are kept for the next start." if ran else f"Nothing of {state} runs.")
    return 0


@stack.command("status", epilog=EXAMPLES)
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, without passwords.")
@exit_with_message
def status(state: Path, *, as_json: bool) -> int:
    """Say how each part is, and show Flower's login. Exit code 3 if a part is not well, or nothing runs."""
    from producer.stack.state import StateFolder
    from producer.stack.status import is_well, look, to_dict

    site, parts = look(StateFolder(state))
    if as_json:
        click.echo(json.dumps(to_dict(site, parts), indent=2))
    elif site is None:
        click.echo(f"Nothing of {state} runs. Start it: poolrace stack up")
    else:
        for part in parts:
            click.echo(f"  {part.part:<16} {part.state:<12} {part.pid or '-':<8} {part.tells}")
        _tell_where(site, show_password=True)
    return 0 if is_well(parts) else NOT_WELL


def _tell_where(site: Site, *, show_password: bool) -> None:
    from producer.stack.passwords import flower_login

    user, password = flower_login(site.state.secrets)
    program = sys.argv[0] if Path(sys.argv[0]).name == "poolrace" else "poolrace"
    option = "" if str(site.state.shown) == ".poolrace" else f" --state {site.state.shown}"
    click.echo(f"Flower: {site.flower_url}  user: {user}  password: {password if show_password else '(as before)'}")
    click.echo(f"To race on it, or to steer its load:\n    . {shlex.quote(str(site.state.variables))}")
    click.echo(f"    {program} race\n    {program} live pause       (or resume, status, set --rate 10/s)")
    click.echo(f"How it is, with the password: {program} stack status{option}")
