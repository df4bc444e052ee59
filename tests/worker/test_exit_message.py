"""A worker without a broker ends with one line; a bug keeps its traceback."""

import logging

import pytest
from kombu.exceptions import OperationalError

from worker import exit_message


def logged(caplog: pytest.LogCaptureFixture, error: Exception) -> str:
    """Log an error as Celery does at the end of a worker, and return the text."""
    exit_message.attach()
    logging.getLogger(exit_message.LOGGER).critical("Unrecoverable error: %r", error, exc_info=error)
    return caplog.handler.format(caplog.records[-1])


def test_celery_logs_the_end_of_a_worker_in_the_logger_that_is_shortened() -> None:
    from celery.worker import worker

    assert worker.logger.name == exit_message.LOGGER


def test_a_broker_that_refuses_is_one_line_that_says_what_to_check(caplog: pytest.LogCaptureFixture) -> None:
    text = logged(caplog, OperationalError("invalid username-password pair or user is disabled."))
    assert "The broker cannot be used: invalid username-password pair or user is disabled. Check" in text
    assert "POOLRACE_BROKER_PASSWORD_FILE" in text
    assert "Traceback" not in text


def test_a_bug_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    text = logged(caplog, KeyError("a bug"))
    assert "Unrecoverable error: KeyError('a bug')" in text
    assert text.endswith("\nKeyError: 'a bug'")
