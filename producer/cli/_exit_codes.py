"""Turns errors into one message and an exit code."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from producer.errors import FleetError, InterruptedRunError, InvalidRunError, PoolraceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

BROKEN_THRESHOLD = 99
"""Exit code of a run that was good and did not keep a threshold."""

EXIT_CODES = f"""\b
Exit codes:
  0    good
  {UsageError.exit_code}    the command line, or a file it names, is not what the command needs
  {FleetError.exit_code}    the broker or a node cannot be started, reached or kept alive
  {InvalidRunError.exit_code}    the run is invalid: the generator was late, or jobs are missing
  {BROKEN_THRESHOLD}   the run is good, but a threshold is broken, a lane leaks, or no rate or fleet keeps the SLO
  {InterruptedRunError.exit_code}  Ctrl-C; what was measured until then is kept"""


def exit_code_of(command: Callable[..., int], *arguments: Any) -> int:
    """Run a command and return its exit code; an error becomes one message, and a bug keeps its traceback."""
    try:
        return command(*arguments)
    except PoolraceError as error:
        return print_error(error)
    except KeyboardInterrupt:
        return print_error(InterruptedRunError("Interrupted."))
    except BrokenPipeError:
        # The reader of our output has gone, as in `poolrace report … | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def usage_error(error: click.ClickException) -> UsageError:
    """Return what click says of a command line, which takes it several lines, as an error of ours: in one."""
    said = re.sub(r"\s+", " ", error.format_message())
    said += "" if said.endswith((".", "?")) else "."
    context = error.ctx if isinstance(error, click.UsageError) else None
    return UsageError(f"{said} See: {context.command_path if context else 'poolrace'} --help")


def print_error(error: PoolraceError) -> int:
    """Print an error to standard error and return its exit code."""
    click.echo(f"poolrace: {error}", err=True)
    return error.exit_code
