"""The folder of passwords, as `poolrace secrets` and `poolrace flower` take it."""

from __future__ import annotations

from pathlib import Path

import click

SECRETS_FOLDER = click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", envvar="POOLRACE_SECRETS_DIR"
)
