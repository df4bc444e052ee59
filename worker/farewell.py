"""
What a worker says when it ends because of its broker: one line, instead of the fifty of Celery's traceback.

Celery says by itself, each time it tries to connect, what went wrong; a traceback through its transport adds nothing.
Any other end is a bug, and keeps its traceback.
"""

from __future__ import annotations

import logging

from kombu.exceptions import OperationalError

SPEAKER = "celery.worker"
"""Whose logger tells what ended a worker."""


class _OneLine(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OperationalError):
            record.msg, record.args, record.exc_info = _text(error), (), None
        return True


def attach() -> None:
    """Shorten what this process will say."""
    logging.getLogger(SPEAKER).addFilter(_OneLine("farewell"))


def _text(error: OperationalError) -> str:
    return (
        f"The broker cannot be used: {str(error).rstrip('.')}. "
        "Check POOLRACE_BROKER_URL, the password that POOLRACE_BROKER_PASSWORD_FILE names, and whether the broker runs."
    )
