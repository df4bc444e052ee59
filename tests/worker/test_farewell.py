"""A worker without a broker says so in one line; a bug keeps its traceback."""

import logging

import pytest
from kombu.exceptions import OperationalError

from worker import farewell


def said(caplog: pytest.LogCaptureFixture, error: Exception) -> str:
    """What is logged as Celery logs the end of a worker."""
    farewell.attach()
    logging.getLogger(farewell.SPEAKER).critical("Unrecoverable error: %r", error, exc_info=error)
    return caplog.handler.format(caplog.records[-1])


def test_celery_tells_the_end_of_a_worker_where_it_is_shortened() -> None:
    from celery.worker import worker

    assert worker.logger.name == farewell.SPEAKER


def test_a_broker_that_refuses_is_told_in_one_line_that_says_what_to_check(caplog: pytest.LogCaptureFixture) -> None:
    text = said(caplog, OperationalError("invalid username-password pair or user is disabled."))
    assert "The broker cannot be used: invalid username-password pair or user is disabled. Check" in text
    assert "POOLRACE_BROKER_PASSWORD_FILE" in text
    assert "Traceback" not in text


def test_a_bug_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    text = said(caplog, KeyError("a bug"))
    assert "Unrecoverable error: KeyError('a bug')" in text
    assert text.endswith("\nKeyError: 'a bug'")
