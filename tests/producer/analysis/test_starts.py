"""Lanes that compare otherwise on another start of their nodes are told, and those that do not are not."""

import math

import numpy as np
import pytest
from nouns import from_logs, paired
from scipy import stats

from producer.analysis.starts import start_warnings


def told(*comparisons):
    return list(start_warnings(comparisons))


LUCKY = from_logs(0.19, 0.20, 0.21, -0.01, 0.0, 0.01, starts=[1, 1, 1, 2, 2, 2])
"""
Means 0.2 and 0, within starts squares of 0.0002 each, with 4 degrees of freedom: a common spread of 0.01.

t = 0.2 / (0.01 sqrt(1/3 + 1/3)) = 24.5, of which p is 1.6e-5.
"""


def test_a_lucky_start_is_told_with_what_each_one_says():
    (warning,) = told(LUCKY)
    assert warning == (
        "sleep, capacity: prefork / threads was 1.22 on start 1 and 1.00 on start 2 of the nodes: a start makes more "
        "difference than its rounds show. Take the race on, which starts them again."
    )


def test_starts_that_differ_as_rounds_do_are_not_told():
    assert not told(from_logs(0.1, 0.2, 0.3, 0.2, 0.3, 0.4, starts=[1, 1, 1, 2, 2, 2]))


def test_any_start_may_be_the_one_that_differs():
    """The third alone: the first differs from all others together by no more than they do."""
    comparison = from_logs(0.0, 0.01, -0.01, 0.2, 0.21, 0.19, -0.2, -0.21, -0.19, starts=[1] * 3 + [2] * 3 + [3] * 3)
    assert "1.00 on start 1 and 1.22 on start 2 and 0.82 on start 3" in told(comparison)[0]


@pytest.mark.parametrize("seed", range(40))
def test_starts_are_compared_by_the_f_test_of_their_means(seed):
    rng = np.random.default_rng(seed)
    groups = [rng.normal(shift, 0.1, pairs) for shift, pairs in ((0.0, 4), (0.15, 2), (-0.15, 3))]
    comparison = from_logs(*np.concatenate(groups), starts=[1] * 4 + [2] * 2 + [3] * 3)
    assert bool(told(comparison)) == (stats.f_oneway(*groups).pvalue < 0.01)


@pytest.mark.parametrize(("shift", "warns"), [(0.048, True), (0.044, False)])
def test_what_is_told_has_a_p_value_below_one_in_a_hundred(shift, warns):
    first, second = [-0.01, 0.0, 0.01], [shift - 0.01, shift, shift + 0.01]
    # t = 0.044 / 0.00816 = 5.39 has p = 0.0057, and 0.048 / 0.00816 = 5.88 has 0.0042: twice, for two comparisons.
    assert (2 * stats.ttest_ind(first, second).pvalue < 0.01) == warns
    both = [from_logs(*first, *second, starts=[1] * 3 + [2] * 3), from_logs(0.1, 0.0, 0.1, 0.0, starts=[1, 1, 2, 2])]
    assert bool(told(*both)) == warns


@pytest.mark.parametrize(
    "comparison",
    [
        paired([]),
        from_logs(0.1, 0.2),
        from_logs(0.1, 0.5, starts=[1, 2]),
        from_logs(0.1, 0.1, 0.1, 0.1, starts=[1, 1, 2, 2]),
        paired([1.0, None, 2.0, None], starts=[1, 2, 1, 2]),
    ],
)
def test_a_single_start_or_too_few_pairs_say_nothing(comparison):
    assert not told(comparison)


def test_starts_whose_rounds_all_agree_and_that_differ_are_told():
    assert told(from_logs(0.0, 0.0, 0.5, 0.5, starts=[1, 1, 2, 2]))


def test_pairs_without_a_ratio_are_of_no_start():
    with_gap = paired([*LUCKY.ratios[:3], None, *LUCKY.ratios[3:]], starts=[1, 1, 1, 2, 2, 2, 2])
    assert told(with_gap) == told(LUCKY)


def test_starts_that_do_not_matter_are_seldom_told():
    """1,000 races of 8 comparisons of 3 and 3 rounds: at most 1 in 100, over all comparisons of a race."""
    logs = 0.1 * np.random.default_rng(3).standard_normal((1_000, 8, 6))
    starts = [1, 2, 1, 2, 2, 1]
    fooled = sum(
        bool(told(*[paired([math.exp(log) for log in each], starts=starts) for each in race])) for race in logs
    )
    assert fooled <= 20
