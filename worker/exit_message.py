"""
One line when a worker ends because of its broker, instead of the fifty of Celery's traceback.

Celery logs the error of each attempt to connect; a traceback through its transport adds nothing.
Any other end is a bug, and keeps its traceback.
"""

from __future__ import annotations

import logging

from kombu.exceptions import OperationalError

LOGGER = "celery.worker"
"""The logger in which Celery says why a worker ended."""


class _OneLine(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OperationalError):
            record.msg, record.args, record.exc_info = _text(error), (), None
        return True


def attach() -> None:
    """Shorten the message with which this process ends."""
    logging.getLogger(LOGGER).addFilter(_OneLine("exit_message"))


def _text(error: OperationalError) -> str:
    return (
        f"The broker cannot be used: {str(error).rstrip('.')}. "
        "Check POOLRACE_BROKER_URL, the password that POOLRACE_BROKER_PASSWORD_FILE names, and whether the broker runs."
    )
