"""The offset to the broker's clock, worked out by hand."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from poolrace.clock import broker_offset, measure_offset
from poolrace.contract import NO_OFFSET


def offset_of(round_trips, ahead_s=0.0):
    """
    Measure with these (there, back) times on the wire, in seconds, from a clock that starts at 1000.

    The broker reads its clock when the question has arrived.
    """
    now_s, ways = [1000.0], iter(round_trips)

    def ask_s():
        there_s, back_s = next(ways)
        now_s[0] += there_s
        answer_s = now_s[0] + ahead_s
        now_s[0] += back_s
        return answer_s

    return measure_offset(ask_s, lambda: now_s[0], len(round_trips))


def test_the_middle_of_a_round_trip_is_when_the_broker_looked_at_its_clock():
    # Asked at 1000, read at 1000.25 on a clock 5 s ahead, back at 1000.5: 1005.25 - 1000.25 = 5.
    found = offset_of([(0.25, 0.25)], ahead_s=5.0)
    assert found.offset_s == 5.0
    assert found.bound_s == 0.25


def test_a_broker_behind_has_a_negative_offset():
    assert offset_of([(0.5, 0.5)], ahead_s=-3.0).offset_s == -3.0


def test_the_fastest_round_trip_counts():
    # All of the way there: 0.5 s off by half of it. The second trip is the shortest.
    found = offset_of([(1.0, 1.0), (0.5, 0.0), (2.0, 0.0)], ahead_s=10.0)
    assert found.bound_s == 0.25
    assert found.offset_s == 10.25


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=8),
    st.floats(-1e6, 1e6),
)
def test_the_true_offset_lies_within_the_bound(round_trips, ahead_s):
    found = offset_of(round_trips, ahead_s)
    assert abs(found.offset_s - ahead_s) <= found.bound_s + 1e-6


def test_a_clock_that_agrees_is_not_corrected():
    """The answer is wrong by at most half the asymmetry of the way, which is the bound."""
    assert offset_of([(0.5, 0.25)]).correction_s == 0.0


def test_redis_answers_with_seconds_and_microseconds():
    client = SimpleNamespace(time=lambda: (4_000_000_000, 500_000))
    connection = SimpleNamespace(default_channel=SimpleNamespace(client=client))
    found = broker_offset(connection)
    # Far in the future, so what the test itself took does not show.
    assert found.offset_s > 1e9
    assert found.bound_s < found.offset_s


@pytest.mark.parametrize("client", [None, SimpleNamespace()])
def test_a_broker_without_a_clock_leaves_the_offset_unknown(client):
    connection = SimpleNamespace(default_channel=SimpleNamespace(client=client))
    assert broker_offset(connection) is NO_OFFSET


def test_a_broker_without_a_client_leaves_the_offset_unknown():
    with Connection("memory://") as connection:
        assert broker_offset(connection) is NO_OFFSET
