"""
Make the passwords of the compose stack, and print Flower's.

DIR may also come from POOLRACE_SECRETS_DIR.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from producer.cli._command import group, option
from producer.cli._secrets_folder import SECRETS_FOLDER
from producer.errors import UsageError
from producer.stack import passwords
from producer.stack.certificates import make_certificates

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = """\b
Examples:
  poolrace secrets make /run/poolrace
  poolrace secrets show /run/poolrace
  poolrace secrets make /run/poolrace --tls-dir /run/poolrace-tls --tls-name first.example --tls-name 192.0.2.10
  poolrace secrets export /run/poolrace | ssh second poolrace secrets import /run/poolrace"""


@group(__doc__, epilog=EXAMPLES)
def secrets() -> None:
    """Hold the subcommands."""


@secrets.command("make", epilog=EXAMPLES)
@SECRETS_FOLDER
@option(
    "--tls-dir",
    envvar="POOLRACE_TLS_DIR",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder for the broker's certificate and keys.",
)
@option(
    "--tls-name",
    "tls_names",
    multiple=True,
    envvar="POOLRACE_TLS_NAMES",
    metavar="NAME",
    help="A name or address by which nodes on other hosts reach the broker; repeatable.",
)
@option(
    "--flower-url",
    envvar="POOLRACE_FLOWER_URL",
    metavar="URL",
    default="http://127.0.0.1:5555",
    help="Flower's address, printed with its login.",
)
def secrets_make(folder: Path, tls_dir: Path | None, tls_names: Sequence[str], flower_url: str) -> int:
    """Make what is missing in DIR, keep what is there, and print Flower's login when it is new."""
    if tls_names and tls_dir is None:
        raise UsageError("--tls-name: say where keys go, e.g. --tls-dir /run/poolrace-tls.")
    is_new = passwords.make(folder)
    if tls_names and tls_dir is not None:
        make_certificates(folder, tls_dir, tls_names)
    user, password = passwords.flower_login(folder)
    click.echo(f"Flower: {flower_url}  user: {user}  password: {password if is_new else '(as before)'}")
    click.echo(
        f"To see the password again: poolrace secrets show {folder}; with Compose: docker compose run --rm secrets show"
    )
    return 0


@secrets.command("show", epilog=EXAMPLES)
@SECRETS_FOLDER
def secrets_show(folder: Path) -> int:
    """Print Flower's login."""
    user, password = passwords.flower_login(folder)
    click.echo(f"user: {user}\npassword: {password}")
    return 0


@secrets.command("export", epilog=EXAMPLES)
@SECRETS_FOLDER
def secrets_export(folder: Path) -> int:
    """Print what workers on another host need: a password. Pipe it there, and keep it nowhere."""
    click.echo(passwords.export(folder))
    return 0


@secrets.command("import", epilog=EXAMPLES)
@SECRETS_FOLDER
def secrets_import(folder: Path) -> int:
    """Take what `export` printed on the first host from standard input."""
    passwords.import_(folder, sys.stdin.read())
    click.echo("Workers on this host can now log in to the broker.")
    return 0
