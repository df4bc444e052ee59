"""Errors that a user can act on. Each says what is wrong, what is allowed and what to do; none shows a traceback."""

from __future__ import annotations

from typing import ClassVar


class PoolraceError(Exception):
    """The base of every error that ends the command with a message instead of a traceback."""

    exit_code: ClassVar[int] = 1


class UsageError(PoolraceError):
    """The command line, a file it names or a run directory is not what the command needs."""

    exit_code = 2


class FleetError(PoolraceError):
    """The broker or a node cannot be started, reached or kept alive."""

    exit_code = 3


class InvalidRunError(PoolraceError):
    """The run did not measure what it was asked to: the generator was late, or jobs are missing."""

    exit_code = 4


class InterruptedRunError(PoolraceError):
    """The run was ended by Ctrl-C or SIGTERM."""

    exit_code = 130
