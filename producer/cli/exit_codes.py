"""Turns errors into one message and an exit code."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from producer.errors import InterruptedRunError, PoolraceError

if TYPE_CHECKING:
    from collections.abc import Callable


EXIT_CODES = """\b
Exit codes:
  0    good
  2    the command line, or a file it names, is not what the command needs
  3    the broker or a node cannot be started, reached or kept alive
  4    the run is invalid: the generator was late, or jobs are missing
  130  Ctrl-C; what was measured until then is kept"""

BROKEN_THRESHOLD = 99
"""Exit code of a run that was good and did not keep a threshold."""


def exit_with_message(command: Callable[..., int]) -> Callable[..., None]:
    """A command whose errors become one message and an exit code; a bug keeps its traceback."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            code = command(*arguments, **options)
        except PoolraceError as error:
            code = print_error(error)
        except KeyboardInterrupt:
            code = print_error(InterruptedRunError("Interrupted."))
        except BrokenPipeError:
            # The reader of our output has gone, as in `poolrace report … | head`.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        raise SystemExit(code)

    return run


def print_error(error: PoolraceError) -> int:
    """Print an error where errors go; returns its exit code."""
    click.echo(f"poolrace: {error}", err=True)
    return error.exit_code
