"""The limit from all probes: by hand where it can be, and what holds whatever the probes are."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.analysis.limit_fit import (
    BEYOND,
    HELD_PART,
    MISTAKEN,
    Fit,
    fit,
    most_telling_per_s,
    part_that_passes,
)

RATES = st.floats(1.0, 20_000.0)
PROBES = st.lists(st.tuples(RATES, st.booleans()), min_size=2, max_size=20).filter(
    lambda probes: {passed for _, passed in probes} == {True, False}
)


def around(limit, *, ratio=1.05, times=4):
    """So many probes pass a little below a rate, and as many fail a little above it."""
    return [(limit / ratio, True), (limit * ratio, False)] * times


def test_at_the_limit_three_of_five_probes_pass_but_for_mistakes():
    assert HELD_PART == 0.6
    assert part_that_passes(math.log(50), math.log(50), 20.0) == pytest.approx(MISTAKEN + (1 - 2 * MISTAKEN) * 0.6)


def test_far_from_the_limit_only_mistakes_are_left():
    assert part_that_passes(math.log(1), math.log(50), 20.0) == pytest.approx(1 - MISTAKEN)
    assert part_that_passes(math.log(5000), math.log(50), 20.0) == pytest.approx(MISTAKEN)


def test_the_part_that_passes_falls_as_steeply_as_the_slope_says():
    """A tenth above the limit a slope of 20 makes what breaks a probe 1.1 ** 20, or 6.727 times as frequent."""
    found = part_that_passes(math.log(55), math.log(50), 20.0)
    assert found == pytest.approx(MISTAKEN + (1 - 2 * MISTAKEN) * 0.6**6.727, abs=1e-5)


@pytest.mark.parametrize("probes", [[], [(10.0, True)], [(10.0, False), (5.0, False)], [(10.0, True), (20.0, True)]])
def test_without_both_a_pass_and_a_failure_nothing_is_known(probes):
    assert fit(probes) is None
    with pytest.raises(ValueError, match="one must have passed and one failed"):
        most_telling_per_s(probes)


def test_one_pass_and_one_failure_have_the_limit_near_the_middle_of_their_logarithms():
    """The interval holds both, since either may have been chance."""
    found = fit([(10.0, True), (40.0, False)])
    assert found.limit_per_s == pytest.approx(20.0, rel=0.2)
    assert found.low_per_s < 10 < 40 < found.high_per_s


def test_the_width_is_that_of_the_interval_as_a_part_of_its_lower_end():
    assert Fit(limit_per_s=110.0, low_per_s=100.0, high_per_s=125.0).width == 0.25


def test_more_probes_that_say_the_same_narrow_the_interval():
    widths = [fit(around(50.0, times=times)).width for times in (1, 2, 4, 8, 16)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.1


def test_a_failure_far_below_many_passes_moves_the_limit_little():
    probes = around(50.0)
    assert fit([*probes, (10.0, False)]).limit_per_s == pytest.approx(fit(probes).limit_per_s, rel=0.02)


def test_probes_that_pass_and_fail_in_no_order_leave_a_wide_interval():
    """As many pass as fail at each of three rates 20 % apart: the lane has a limit somewhere among them."""
    probes = [(rate, passed) for rate in (40.0, 48.0, 57.6) for passed in (True, False)] * 2
    found = fit(probes)
    assert found.limit_per_s == pytest.approx(48.0, rel=0.02)
    assert found.width > 0.3


@settings(max_examples=60, deadline=None)
@given(PROBES)
def test_the_limit_lies_in_its_interval_and_near_what_was_probed(probes):
    found = fit(probes)
    rates = [rate for rate, _ in probes]
    assert (
        min(rates) / BEYOND <= found.low_per_s <= found.limit_per_s <= found.high_per_s <= max(rates) * BEYOND * 1.001
    )


@settings(max_examples=30, deadline=None)
@given(PROBES, st.randoms(use_true_random=False))
def test_the_order_of_probes_is_of_no_matter(probes, random):
    shuffled = list(probes)
    random.shuffle(shuffled)
    first, second = fit(probes), fit(shuffled)
    assert (first.low_per_s, first.limit_per_s) == pytest.approx((second.low_per_s, second.limit_per_s), rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(PROBES, st.floats(0.01, 100.0))
def test_a_lane_so_many_times_as_fast_has_a_limit_so_many_times_as_high(probes, times):
    first, second = fit(probes), fit([(rate * times, passed) for rate, passed in probes])
    assert second.limit_per_s == pytest.approx(first.limit_per_s * times, rel=1e-6)
    assert second.width == pytest.approx(first.width, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(PROBES)
def test_the_next_rate_lies_in_the_interval(probes):
    found = fit(probes)
    assert found.low_per_s * 0.999 <= most_telling_per_s(probes) <= found.high_per_s * 1.001


@settings(max_examples=30, deadline=None)
@given(PROBES)
def test_at_the_limit_a_pass_raises_it_and_a_failure_lowers_it(probes):
    limit = fit(probes).limit_per_s
    assert fit([*probes, (limit, True)]).limit_per_s > limit > fit([*probes, (limit, False)]).limit_per_s
