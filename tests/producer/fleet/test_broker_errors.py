"""Brokers are spoken of without their passwords, and errors in words of our own."""

import amqp
import pytest
import redis
from kombu.exceptions import BatchPublishError

from producer.fleet.broker_errors import FULL, explain, in_short


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (redis.AuthenticationError("geheim"), "wants a password, or another one"),
        (redis.exceptions.NoPermissionError("geheim"), "answers, but forbids this user to ping it"),
        (redis.BusyLoadingError("geheim"), "still loads its data"),
        (redis.TimeoutError("geheim"), "gave no answer in time"),
        (redis.ConnectionError("geheim"), "cannot be reached"),
        (redis.ResponseError("geheim"), "refuses with ResponseError"),
        (amqp.AccessRefused("geheim"), "wants a password, or another one"),
        (ConnectionRefusedError("geheim"), "cannot be reached"),
        (TimeoutError("geheim"), "gave no answer in time"),
        (ModuleNotFoundError("geheim"), "needs a package that is not installed"),
        (KeyError("geheim"), "no valid broker URL"),
        (ValueError("geheim"), "no valid broker URL"),
    ],
)
def test_errors_are_explained_in_words_of_our_own(error, value):
    said, remedy = explain(error)
    assert said == value
    assert "geheim" not in said + remedy


def wrapped(cause: Exception) -> Exception:
    """An error as it comes out of kombu's batches."""
    try:
        try:
            raise cause
        except redis.RedisError as error:
            raise BatchPublishError("delivery is uncertain") from error
    except BatchPublishError as error:
        return error


def test_what_is_the_matter_is_told_by_its_cause():
    assert in_short(wrapped(redis.OutOfMemoryError("command not allowed"))) == FULL
    assert in_short(wrapped(redis.ConnectionError("Connection refused"))) == "Connection refused"
    assert in_short(ConnectionResetError()) == "ConnectionResetError"
