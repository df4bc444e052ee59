"""The test that may be looked at after every pair keeps its promise at every look, and its intervals agree with it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from producer.analysis.sequential import (
    FULL_WEIGHT_PAIRS,
    HEIGHTS,
    LEAST_PAIRS,
    MOST_PAIRS,
    bound,
    half_width,
    interval,
    level_reached,
    weight,
)
from producer.analysis.stats import LogRatio

LEVELS = st.floats(min_value=1e-12, max_value=0.2)
PAIRS = st.integers(min_value=LEAST_PAIRS, max_value=MOST_PAIRS)


def test_the_bound_by_hand():
    # The height for 5 % is 0.012624; after 3 pairs sqrt(3 / 8) of it, after 8 all, after 16 (8 / 16)^2.
    assert bound(0.05, 3) == pytest.approx(0.0077306, rel=1e-4)
    assert bound(0.05, 8) == pytest.approx(0.012624)
    assert bound(0.05, 16) == pytest.approx(0.003156)


def test_between_two_heights_the_logarithm_is_interpolated():
    """Half way between 1 % and 2 % by ratio, 1.414 %, the height is half way by ratio, too."""
    height = math.sqrt(0.0019967 * 0.00436)
    assert bound(math.sqrt(0.01 * 0.02), 8) == pytest.approx(height, rel=1e-6)


def test_below_the_rarest_height_both_fall_alike():
    assert bound(1e-8, 8) == pytest.approx(HEIGHTS[0][1] / 1_000)


def test_the_level_of_three_clear_pairs_by_hand():
    """
    Logarithms 0.19, 0.20, 0.21 have t = 34.64 and p = 1 - sqrt(1200 / 1202) = 0.00083.

    Over a weight of sqrt(3 / 8) that is a height of 0.00136, between 0.00093 of 0.5 % and 0.00200 of 1 %.
    """
    ratio = LogRatio(pairs=3, mean=0.2, sd=0.01)
    assert ratio.p_value == pytest.approx(1 - math.sqrt(1200 / 1202))
    assert level_reached(ratio.p_value, 3) == pytest.approx(0.00706, abs=1e-5)


def test_the_interval_by_hand():
    # 2 degrees of freedom: t of a p-value is (1 - p) sqrt(2 / (1 - (1 - p)^2)); of 0.0077306 11.3074.
    low, high = interval(LogRatio(pairs=3, mean=0.2, sd=0.01), 0.05)
    assert high - 0.2 == pytest.approx(0.2 - low) == pytest.approx(11.3074 * 0.01 / math.sqrt(3), rel=1e-4)


def test_an_interval_that_may_be_looked_at_is_wider_than_an_ordinary_one():
    assert half_width(0.05, 10, 1.0) > 1.3 * stats.t.ppf(0.975, 9) / math.sqrt(10)


def test_pairs_that_all_agree_have_a_point_for_an_interval():
    assert interval(LogRatio(pairs=5, mean=0.7, sd=0.0), 0.05) == (0.7, 0.7)


def test_heights_rise_with_the_level_and_are_below_it():
    levels, heights = zip(*HEIGHTS, strict=True)
    assert list(levels) == sorted(levels)
    assert list(heights) == sorted(heights)
    assert all(height < level for level, height in HEIGHTS)


def test_a_look_weighs_most_after_the_pairs_that_most_comparisons_get():
    weights = [weight(pairs) for pairs in range(LEAST_PAIRS, 100)]
    assert max(weights) == weight(FULL_WEIGHT_PAIRS) == 1.0
    top = FULL_WEIGHT_PAIRS - LEAST_PAIRS
    assert weights[: top + 1] == sorted(weights[: top + 1])
    assert weights[top:] == sorted(weights[top:], reverse=True)


@settings(deadline=None)
@given(LEVELS, PAIRS)
def test_the_level_that_the_bound_reaches_is_the_level(level, pairs):
    if level < 0.199:
        assert level_reached(bound(level, pairs), pairs) == pytest.approx(level, rel=1e-6)


@settings(deadline=None)
@given(LEVELS, st.floats(min_value=1.01, max_value=10), PAIRS)
def test_an_interval_that_is_to_hold_more_often_is_wider(level, more, pairs):
    assert half_width(level / more, pairs, 1.0) > half_width(level, pairs, 1.0)


@settings(deadline=None)
@given(st.floats(min_value=1e-9, max_value=1), st.floats(min_value=1e-9, max_value=1), PAIRS)
def test_a_smaller_p_value_never_reaches_a_larger_level(p, q, pairs):
    assert level_reached(min(p, q), pairs) <= level_reached(max(p, q), pairs) <= 1


@settings(deadline=None)
@given(
    st.floats(min_value=-1, max_value=1),
    st.floats(min_value=0.001, max_value=1),
    st.integers(min_value=3, max_value=60),
    st.sampled_from([0.05, 0.01, 0.00125]),
)
def test_an_interval_holds_those_ratios_that_the_test_does_not_reject(mean, sd, pairs, level):
    ratio = LogRatio(pairs=pairs, mean=mean, sd=sd)
    low, high = interval(ratio, level)
    assert (low > 0 or high < 0) == (ratio.p_value < bound(level, pairs))


def test_a_very_sure_interval_has_ends():
    """1 - p / 2 is 1 for a computer, where p is below 1e-16: the interval would have none."""
    assert 0 < half_width(1e-9, MOST_PAIRS, 1.0) < half_width(1e-15, MOST_PAIRS, 1.0) < 1


@pytest.mark.parametrize("pairs", [-1, 0, 2])
def test_fewer_pairs_than_three_have_no_bound(pairs):
    with pytest.raises(ValueError, match=f"pairs {pairs}: must be 3 or more"):
        bound(0.05, pairs)


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_intervals_hold_the_truth_at_every_look(level):
    """2,000 sequences of pairs, each looked at after every pair from the third to the 40th."""
    logs = np.random.default_rng(1989).standard_normal((2_000, 40))
    missed = np.zeros(len(logs), bool)
    for pairs in range(LEAST_PAIRS, logs.shape[1] + 1):
        seen = logs[:, :pairs]
        missed |= np.abs(seen.mean(axis=1)) > half_width(level, pairs, 1.0) * seen.std(axis=1, ddof=1)
    # Over 1,000 looks it is the level itself, and most of that is spent by the 40th; three standard errors above it.
    assert 0.7 * level < missed.mean() <= level + 3 * math.sqrt(level / len(logs))
