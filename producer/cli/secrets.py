"""`poolrace secrets` and `poolrace flower`: what the compose stack starts before and beside the workers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from producer.cli.exit_codes import exit_with_message
from producer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRETS_EXAMPLES = """\b
Examples:
  poolrace secrets make /run/poolrace
  poolrace secrets show /run/poolrace
  poolrace secrets make /run/poolrace --tls-dir /run/poolrace-tls --tls-name first.example --tls-name 192.0.2.10
  poolrace secrets export /run/poolrace | ssh second poolrace secrets import /run/poolrace"""

FLOWER_EXAMPLES = """\b
Examples:
  poolrace flower /run/poolrace
  FLOWER_READ_ONLY=false poolrace flower /run/poolrace     (let Flower's buttons change workers)
  FLOWER_PORT=5556 poolrace flower /run/poolrace"""

secrets_dir = click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", envvar="POOLRACE_SECRETS_DIR"
)


@click.group(epilog=SECRETS_EXAMPLES)
def secrets() -> None:
    """Make the passwords of the compose stack, and tell Flower's. DIR may also come from POOLRACE_SECRETS_DIR."""


@secrets.command("make", epilog=SECRETS_EXAMPLES)
@secrets_dir
@click.option("--tls-dir", default=None, envvar="POOLRACE_TLS_DIR", type=click.Path(path_type=Path, file_okay=False),
              metavar="DIR", help="Where the broker's certificate and keys go.")  # fmt: skip
@click.option("--tls-name", "tls_names", multiple=True, envvar="POOLRACE_TLS_NAMES", metavar="NAME",
              help="A name or address that nodes on other hosts reach the broker by; repeatable.")  # fmt: skip
@click.option("--flower-url", default="http://127.0.0.1:5555", show_default=True, envvar="POOLRACE_FLOWER_URL",
              metavar="URL", help="Where Flower will be, to be told with its login.")  # fmt: skip
@exit_with_message
def secrets_make(folder: Path, tls_dir: Path | None, tls_names: Sequence[str], flower_url: str) -> int:
    """Make what is missing in DIR, keep what is there, and print Flower's login when it is new."""
    from producer.stack.certificates import make_certificates
    from producer.stack.passwords import flower_login, make

    if tls_names and tls_dir is None:
        raise UsageError("--tls-name: say where keys go, e.g. --tls-dir /run/poolrace-tls.")
    is_new = make(folder)
    if tls_names and tls_dir is not None:
        make_certificates(folder, tls_dir, tls_names)
    user, password = flower_login(folder)
    click.echo(f"Flower: {flower_url}  user: {user}  password: {password if is_new else '(as before)'}")
    click.echo("To see the password again: docker compose run --rm secrets show")
    return 0


@secrets.command("show", epilog=SECRETS_EXAMPLES)
@secrets_dir
@exit_with_message
def secrets_show(folder: Path) -> int:
    """Print Flower's login."""
    from producer.stack.passwords import flower_login

    user, password = flower_login(folder)
    click.echo(f"user: {user}\npassword: {password}")
    return 0


@secrets.command("export", epilog=SECRETS_EXAMPLES)
@secrets_dir
@exit_with_message
def secrets_export(folder: Path) -> int:
    """Print what workers on another host need: a password. Pipe it there, and keep it nowhere."""
    from producer.stack.passwords import export

    click.echo(export(folder))
    return 0


@secrets.command("import", epilog=SECRETS_EXAMPLES)
@secrets_dir
@exit_with_message
def secrets_import(folder: Path) -> int:
    """Take what `export` printed on the first host from standard input."""
    from producer.stack.passwords import import_

    import_(folder, sys.stdin.read())
    click.echo("Workers on this host can now log in to the broker.")
    return 0


@click.command(epilog=FLOWER_EXAMPLES)
@secrets_dir
@exit_with_message
def flower(folder: Path) -> int:
    """
    Become Flower, with the login that is in DIR; read-only, unless FLOWER_READ_ONLY=false.

    Every option of Flower can be set by a variable: FLOWER_PORT, FLOWER_MAX_TASKS, FLOWER_URL_PREFIX and so on.
    """
    from producer.stack.flower import start

    start(folder)
    return 0
