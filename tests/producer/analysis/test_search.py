"""The search: it ends, and its bracket holds the capacity of whatever it is told about."""

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.analysis.search import MAX_PROBES, Search


def walk(search, passes):
    """Every rate that is probed until the search is over."""
    rates = []
    while not search.over:
        rates.append(search.next_per_s())
        search.tell(rates[-1], passed=passes(rates[-1]))
    return rates


def told(search, *answers):
    """The rates that are probed with these answers."""
    rates = []
    for passed in answers:
        rates.append(search.next_per_s())
        search.tell(rates[-1], passed=passed)
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


def test_the_bracket_is_halved_on_a_scale_of_ratios_until_it_is_narrow_and_then_repeated():
    """From 40 to 80: 56.6 fails, 47.6 passes, and 56.6 is 19 % above it, less than the 30 % asked for."""
    rates = walk(search := Search(10.0, precision=0.3), lambda rate: rate <= 50)
    assert rates == pytest.approx([10, 20, 40, 80, 56.569, 47.568, 47.568], abs=0.001)
    assert (search.held_per_s, search.broke_per_s) == pytest.approx((47.568, 56.569), abs=0.001)
    assert search.confirmed


def test_after_a_repeat_that_failed_the_search_goes_on_between_what_is_left():
    """14.14 fails when repeated: 10 and 14.14 are within 50 %, so 10 is repeated next."""
    search = Search(10.0, precision=0.5)
    assert told(search, True, False, True, False, True) == pytest.approx([10, 20, 14.142, 14.142, 10], abs=0.001)
    assert (search.held_per_s, search.confirmed, search.over) == (10.0, True, True)
    assert search.broke_per_s == pytest.approx(14.142, abs=0.001)


def test_a_repeat_that_fails_opens_the_bracket_again_where_what_is_below_is_far_away():
    """The middle of 10 and 14.14 is 11.89; it is probed before anything is repeated."""
    search = Search(10.0, precision=0.2)
    rates = told(search, True, False, True, False, False)
    assert rates == pytest.approx([10, 20, 14.142, 16.818, 14.142], abs=0.001)
    assert (search.held_per_s, search.confirming) == (10.0, False)
    assert search.next_per_s() == pytest.approx(11.892, abs=0.001)


def test_a_rate_that_passes_twice_in_a_wide_bracket_is_not_confirmed():
    search = Search(10.0, precision=0.05)
    for rate, passed in ((10.0, True), (20.0, False), (10.0, True)):
        search.tell(rate, passed=passed)
    assert (search.held_per_s, search.confirmed, search.confirming) == (10.0, False, False)


def test_where_the_repeat_of_the_lowest_rate_fails_nothing_is_held():
    search = Search(1.0, precision=0.5)
    assert told(search, True, False, True, False) == pytest.approx([1, 2, 1.414, 1.414], abs=0.001)
    assert search.next_per_s() == 1.0
    search.tell(1.0, passed=False)
    assert (search.held_per_s, search.broke_per_s, search.confirmed, search.over) == (None, 1.0, False, True)


def test_where_the_repeat_of_the_highest_rate_fails_the_bracket_is_closed_by_it():
    search = Search(60.0, precision=0.05, highest_per_s=100.0)
    assert told(search, True, True, False) == [60.0, 100.0, 100.0]
    assert (search.held_per_s, search.broke_per_s, search.over) == (60.0, 100.0, False)
    assert search.next_per_s() == pytest.approx(77.460, abs=0.001)


@pytest.mark.parametrize(("first", "probed"), [(0.01, 1.0), (7.0, 7.0), (1e9, 20_000.0)])
def test_the_first_rate_is_one_that_may_be_probed(first, probed):
    assert Search(first, precision=0.05).next_per_s() == probed


def test_a_search_of_which_no_repeat_passes_ends_after_so_many_probes():
    search = Search(20_000.0, precision=0.005)
    repeated = 0
    while not search.over:
        repeated += search.confirming
        search.tell(search.next_per_s(), passed=not search.confirming)
    assert not search.confirmed
    assert repeated > 1
    assert search._probes == MAX_PROBES


@given(st.floats(0.001, 0.99), st.floats(0.1, 1e6), st.floats(0.005, 0.5))
def test_a_capacity_below_the_lowest_rate_holds_nothing(capacity, first, precision):
    search = Search(first, precision=precision)
    assert len(walk(search, lambda rate: rate <= capacity)) <= MAX_PROBES
    assert (search.held_per_s, search.broke_per_s, search.confirmed) == (None, 1.0, False)


@given(st.floats(20_000.0, 1e9), st.floats(0.1, 1e6), st.floats(0.005, 0.5))
def test_a_capacity_above_the_highest_rate_holds_that(capacity, first, precision):
    search = Search(first, precision=precision)
    assert len(walk(search, lambda rate: rate <= capacity)) <= MAX_PROBES
    assert (search.held_per_s, search.broke_per_s, search.confirmed) == (20_000.0, None, True)


@given(st.floats(1.0, 19_999.0), st.floats(0.1, 1e6), st.floats(0.005, 0.5))
def test_a_capacity_anywhere_between_is_found_from_any_first_rate(capacity, first, precision):
    search = Search(first, precision=precision)
    rates = walk(search, lambda rate: rate <= capacity)
    assert search.confirmed
    assert len(rates) <= MAX_PROBES
    assert min(rates) >= 1.0
    assert max(rates) <= 20_000.0
    assert rates.count(search.held_per_s) == 2
    assert search.held_per_s <= capacity < search.broke_per_s <= search.held_per_s * (1 + precision)


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
