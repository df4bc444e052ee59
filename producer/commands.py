"""What every command shares: how an error becomes a message and an exit code, and where the broker is."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from poolrace import credentials
from producer.errors import InterruptedRunError, PoolraceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


def tells_errors(command: Callable[..., int]) -> Callable[..., None]:
    """A command whose errors become one message and an exit code; a bug keeps its traceback."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            code = command(*arguments, **options)
        except PoolraceError as error:
            code = tell(error)
        except KeyboardInterrupt:
            code = tell(InterruptedRunError("Interrupted."))
        except BrokenPipeError:
            # The reader of our output has gone, as in `poolrace report … | head`.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        raise SystemExit(code)

    return run


def tell(error: PoolraceError) -> int:
    """Print an error where errors go; returns its exit code."""
    click.echo(f"poolrace: {error}", err=True)
    return error.exit_code


def broker_from_environment() -> str | None:
    """
    The broker that a container of the stack is told of, password and all; None anywhere else.

    Raises:
        UsageError: If the environment names a file that cannot be used.
    """
    try:
        return credentials.broker_url(os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from error
