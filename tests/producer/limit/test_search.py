"""The search: it ends, and its bracket holds the capacity of whatever it is told about."""

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.limit.search import MAX_PROBES, Search


def walk(search, passes):
    """Every rate that is probed until the search is over."""
    rates = []
    while not search.over:
        rates.append(search.next_per_s())
        search.tell(rates[-1], passed=passes(rates[-1]))
    return rates


def test_it_doubles_until_a_rate_fails_and_then_goes_to_the_geometric_middle():
    rates = walk(Search(10.0, precision=0.5), lambda rate: rate <= 50)
    assert rates[:4] == [10.0, 20.0, 40.0, 80.0]
    assert rates[4] == pytest.approx(sqrt(40 * 80))


def test_it_halves_until_a_rate_passes():
    assert walk(Search(80.0, precision=1.0), lambda rate: rate <= 15)[:4] == [80.0, 40.0, 20.0, 10.0]


def test_the_rate_that_was_held_is_repeated_at_the_end():
    search = Search(10.0, precision=1.0)
    assert walk(search, lambda rate: rate < 20) == [10.0, 20.0, 10.0]
    assert (search.held_per_s, search.broke_per_s, search.confirmed) == (10.0, 20.0, True)


def test_a_repeat_that_fails_moves_the_bracket_below_it():
    search = Search(10.0, precision=0.5)
    for rate, passed in ((10.0, True), (20.0, False), (sqrt(200), True)):
        search.tell(rate, passed=passed)
    assert search.confirming
    assert search.next_per_s() == pytest.approx(14.14, abs=0.01)
    search.tell(search.next_per_s(), passed=False)
    assert (search.held_per_s, search.confirmed, search.over) == (10.0, False, False)
    assert search.broke_per_s == pytest.approx(14.14, abs=0.01)


def test_where_the_lowest_rate_fails_nothing_is_held_and_the_search_is_over():
    search = Search(4.0, precision=0.05, lowest_per_s=1.0)
    assert walk(search, lambda _: False) == [4.0, 2.0, 1.0]
    assert (search.held_per_s, search.confirmed) == (None, False)


def test_where_the_highest_rate_passes_it_is_confirmed_without_an_upper_end():
    search = Search(30.0, precision=0.05, highest_per_s=100.0)
    assert walk(search, lambda _: True) == [30.0, 60.0, 100.0, 100.0]
    assert (search.held_per_s, search.broke_per_s, search.confirmed) == (100.0, None, True)


@given(st.floats(2.0, 15_000.0), st.floats(1.0, 20_000.0), st.floats(0.01, 0.5))
def test_it_ends_with_the_capacity_inside_a_bracket_as_narrow_as_asked(capacity, first, precision):
    search = Search(first, precision=precision)
    rates = walk(search, lambda rate: rate <= capacity)
    assert search.confirmed
    assert len(rates) <= MAX_PROBES
    assert search.held_per_s <= capacity < search.broke_per_s <= search.held_per_s * (1 + precision)


@given(st.lists(st.booleans(), min_size=MAX_PROBES, max_size=MAX_PROBES), st.floats(1.0, 20_000.0))
def test_it_ends_whatever_it_is_told_and_never_claims_what_failed_above_or_at_it(answers, first):
    search, given_ = Search(first, precision=0.05), iter(answers)
    assert len(walk(search, lambda _: next(given_))) <= MAX_PROBES
    if search.held_per_s is not None and search.broke_per_s is not None:
        assert search.held_per_s < search.broke_per_s
