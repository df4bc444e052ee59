"""What a live node holds is renewed in time, whatever thread works on it."""

import threading
from types import SimpleNamespace

import pytest

from poolrace.transport.renewal import LEAST_S, MAX_TAGS, MOST_S, Renewal, check_timeout, copied, interval_s, renew


class Pipe:
    def __init__(self, sent):
        self.sent, self.queued = sent, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def zadd(self, key, scores, **options):
        self.queued.append((key, scores, options))

    def execute(self):
        self.sent += self.queued


class Channel:
    """Counts how often it is asked to renew, and fails at first."""

    connection_errors = (OSError,)

    def __init__(self, visibility_timeout, failures=0):
        self.visibility_timeout, self.failures = visibility_timeout, failures
        self.renewed, self.enough = 0, threading.Event()

    def renew(self):
        self.renewed += 1
        if self.renewed <= self.failures:
            raise OSError("cut")
        self.enough.set()


@pytest.mark.parametrize(("timeout_s", "expected_s"), [(1, LEAST_S), (8, 2), (60, 15), (3600, MOST_S)])
def test_three_attempts_may_fail_before_the_timeout(timeout_s, expected_s):
    assert interval_s(timeout_s) == expected_s


def test_a_timeout_that_no_renewal_can_keep_is_refused_with_what_is_allowed():
    check_timeout(1)
    with pytest.raises(ValueError, match=r"visibility_timeout = 0\.5: must be 1 s or more"):
        check_timeout(0.5)


def test_only_what_is_still_noted_is_renewed_a_part_at_a_time():
    sent = []
    client = SimpleNamespace(pipeline=lambda **_: Pipe(sent))
    renew(client, "index", [str(number) for number in range(MAX_TAGS + 1)], now=12.5)
    assert [(key, len(scores), options) for key, scores, options in sent] == [
        ("index", MAX_TAGS, {"xx": True}),
        ("index", 1, {"xx": True}),
    ]
    assert set(sent[1][1].values()) == {12.5}


def test_a_failure_is_followed_by_another_attempt():
    channel = Channel(visibility_timeout=1, failures=2)
    renewal = Renewal(channel)
    renewal.start()
    try:
        assert channel.enough.wait(10)
        assert channel.renewed == 3
    finally:
        renewal.end()


def test_a_channel_that_nobody_has_any_more_ends_the_thread():
    before = set(threading.enumerate())
    renewal = Renewal(Channel(visibility_timeout=1))
    renewal.start()
    [thread] = set(threading.enumerate()) - before
    thread.join(10)
    assert not thread.is_alive()


def test_what_other_threads_change_is_read_again():
    class Changing:
        def __init__(self):
            self.reads = 0

        def __iter__(self):
            self.reads += 1
            if self.reads < 3:
                raise RuntimeError("changed size during iteration")
            return iter("ab")

    assert copied(Changing()) == ["a", "b"]
