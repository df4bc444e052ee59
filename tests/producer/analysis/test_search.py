"""The search: where it probes, that it ends, and that its interval holds the capacity of what it is told about."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.analysis.search import MOST_PROBES, Search


def walk(search, passes):
    """Every rate that is probed until the search is over."""
    rates = []
    while not search.over:
        rates.append(search.next_per_s())
        search.tell(rates[-1], passed=passes(rates[-1]))
    return rates


def test_it_doubles_until_a_rate_fails_and_then_goes_in_between():
    rates = walk(Search(10.0, precision=0.2), lambda rate: rate <= 50)
    assert rates[:4] == [10.0, 20.0, 40.0, 80.0]
    assert 40 < rates[4] < 80


def test_it_halves_until_a_rate_passes():
    rates = walk(Search(80.0, precision=0.2), lambda rate: rate <= 15)
    assert rates[:4] == [80.0, 40.0, 20.0, 10.0]
    assert 10 < rates[4] < 20


def test_it_ends_once_the_interval_is_as_narrow_as_asked():
    search = Search(10.0, precision=0.1)
    walk(search, lambda rate: rate <= 50)
    assert search.narrow
    assert search.fit.width <= 0.1
    assert len(search.probes) < MOST_PROBES


def test_it_ends_after_so_many_probes_however_wide_the_interval_is():
    chance = random.Random(1)
    search = Search(10.0, precision=0.005, most_probes=7)
    assert len(walk(search, lambda rate: chance.random() < rate / 60)) == 7
    assert (search.over, search.narrow) == (True, False)


def test_where_the_lowest_rate_fails_twice_nothing_is_held_and_the_search_is_over():
    search = Search(4.0, precision=0.05, lowest_per_s=1.0)
    assert walk(search, lambda _: False) == [4.0, 2.0, 1.0, 1.0]
    assert search.fit is None


def test_where_the_highest_rate_passes_twice_the_limit_lies_above_and_the_search_is_over():
    search = Search(30.0, precision=0.05, highest_per_s=100.0)
    assert walk(search, lambda _: True) == [30.0, 60.0, 100.0, 100.0]
    assert search.fit is None


def test_where_the_lowest_rate_fails_once_it_is_tried_again():
    search, answers = Search(2.0, precision=0.5), iter([False, False, *[True] * 40])
    walk(search, lambda _: next(answers))
    assert search.probes[:3] == [(2.0, False), (1.0, False), (1.0, True)]


@pytest.mark.parametrize(("first", "probed"), [(0.01, 1.0), (7.0, 7.0), (1e9, 20_000.0)])
def test_the_first_rate_is_one_that_may_be_probed(first, probed):
    assert Search(first, precision=0.05).next_per_s() == probed


@pytest.mark.parametrize("unlucky", [1, 2, 3, 4, 5, 6])
def test_one_unlucky_failure_does_not_cap_it(unlucky):
    """A lane that holds 64/s fails one probe for another reason, wherever that is on the way."""
    search, number = Search(10.0, precision=0.1), iter(range(1, 100))
    walk(search, lambda rate: rate <= 64 and next(number) != unlucky)
    assert search.fit.low_per_s <= 64 <= search.fit.high_per_s


@pytest.mark.parametrize("lucky", [3, 4, 5, 6])
def test_one_lucky_pass_does_not_raise_it(lucky):
    search, number = Search(10.0, precision=0.1), iter(range(1, 100))
    walk(search, lambda rate: (next(number) == lucky) | (rate <= 30))
    assert search.fit.low_per_s <= 30 <= search.fit.high_per_s


def test_a_lane_that_becomes_slow_is_found_at_what_it_still_holds():
    search, number = Search(60.0, precision=0.1, most_probes=40), iter(range(1, 100))
    walk(search, lambda rate: rate <= (128 if next(number) == 1 else 16))
    assert search.fit.low_per_s <= 16 <= search.fit.high_per_s


@settings(max_examples=40, deadline=None)
@given(st.floats(0.001, 0.99), st.floats(0.1, 1e6), st.floats(0.005, 0.5))
def test_a_capacity_below_the_lowest_rate_holds_nothing(capacity, first, precision):
    search = Search(first, precision=precision)
    walk(search, lambda rate: rate <= capacity)
    assert search.fit is None
    assert len(search.probes) <= MOST_PROBES


@settings(max_examples=40, deadline=None)
@given(st.floats(20_000.0, 1e9), st.floats(0.1, 1e6), st.floats(0.005, 0.5))
def test_a_capacity_above_the_highest_rate_has_no_upper_end(capacity, first, precision):
    search = Search(first, precision=precision)
    walk(search, lambda rate: rate <= capacity)
    assert search.fit is None
    assert all(passed for _, passed in search.probes)


@settings(max_examples=40, deadline=None)
@given(st.floats(2.0, 15_000.0), st.floats(1.0, 20_000.0), st.floats(0.02, 0.5))
def test_a_capacity_anywhere_between_lies_in_the_interval_from_any_first_rate(capacity, first, precision):
    search = Search(first, precision=precision, most_probes=60)
    rates = walk(search, lambda rate: rate <= capacity)
    assert search.narrow
    assert min(rates) >= 1.0
    assert max(rates) <= 20_000.0
    assert search.fit.low_per_s <= capacity <= search.fit.high_per_s


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=MOST_PROBES, max_size=MOST_PROBES), st.floats(1.0, 20_000.0))
def test_it_ends_whatever_it_is_told(answers, first):
    search, given_ = Search(first, precision=0.05), iter(answers)
    rates = walk(search, lambda _: next(given_))
    assert len(rates) <= MOST_PROBES
    assert all(1.0 <= rate <= 20_000.0 for rate in rates)
