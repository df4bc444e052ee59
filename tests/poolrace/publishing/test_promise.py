"""A promise tells what became of its messages."""

import threading

import pytest

from poolrace.publishing.errors import PublishError
from poolrace.publishing.promise import Promise


def test_one_without_messages_is_kept():
    assert Promise().wait() == 0


def test_it_waits_for_all_and_counts_them():
    promise = Promise()
    for _ in range(3):
        promise.begin()
    with pytest.raises(TimeoutError, match="3 messages are not settled"):
        promise.wait(0.01)
    threading.Timer(0.05, promise.settle, [3]).start()
    assert promise.wait(30) == promise.accepted == 3


def test_what_was_not_accepted_is_named_with_the_cause():
    promise = Promise()
    for _ in range(5):
        promise.begin()
    promise.settle(1, ["a", "b", "c", "d"], ConnectionError("gone"))
    with pytest.raises(PublishError) as caught:
        promise.wait()
    assert caught.value.task_ids == ("a", "b", "c", "d")
    assert str(caught.value) == ("4 messages were not accepted by the broker (gone): a, b, c, …. Send them again.")
    assert isinstance(caught.value.__cause__, ConnectionError)
