"""Brokers are spoken of without their passwords, and errors in words of our own."""

import amqp
import pytest
import redis
from kombu.exceptions import BatchPublishError
from redis.sentinel import MasterNotFoundError

from producer.errors import FleetError
from producer.fleet.broker_errors import FULL, explain, in_short, needing_broker


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (redis.AuthenticationError("geheim"), "wants a password, or another one"),
        (redis.exceptions.NoPermissionError("geheim"), "answers, but forbids this user to ping it"),
        (redis.BusyLoadingError("geheim"), "still loads its data"),
        (redis.TimeoutError("geheim"), "gave no answer in time"),
        (redis.ConnectionError("geheim"), "cannot be reached"),
        (MasterNotFoundError("geheim"), "no sentinel there knows its master"),
        (ValueError("'master_name' transport option must be specified."), "its master is not named"),
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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            redis.exceptions.NoPermissionError("no permissions to run the 'lrange' command"),
            (
                "The broker forbids its user what is needed (no permissions to run the 'lrange' command). "
                "Allow it there: ACL SETUSER NAME +lrange."
            ),
        ),
        (
            redis.exceptions.NoPermissionError("No permissions to access a key"),
            (
                "The broker forbids its user what is needed (No permissions to access a key). "
                "Allow it there: ACL SETUSER NAME ~* &*."
            ),
        ),
        (
            redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
            (
                "The broker refuses a command (WRONGTYPE Operation against a key holding the wrong kind of value). "
                "A queue is a list: is that its name?"
            ),
        ),
        (redis.OutOfMemoryError("OOM"), f"The broker refuses a command ({FULL}). Look into its log."),
        (redis.ConnectionError("refused"), "The broker is gone (refused). What was measured so far is kept."),
    ],
)
def test_a_broker_that_refuses_is_not_said_to_be_gone(error, said):
    with pytest.raises(FleetError) as told, needing_broker():
        raise error
    assert str(told.value) == said
