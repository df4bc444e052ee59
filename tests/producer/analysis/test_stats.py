"""The statistics that no verdict's test covers: whether a fit fits, and intervals from resampled values."""

import math

import numpy as np
import pytest

from producer.analysis.stats import lack_of_fit, quantile_intervals


def groups(*values):
    return [np.array(each, dtype=np.float64) for each in values]


def test_a_fit_that_is_off_by_as_much_as_values_differ_may_well_be_right():
    """
    Means of 2 and 3, of which the fit has 2 for both: 2 over one degree of freedom. Values of a group are off by 1
    each: 4 over two. So F is 1, and Student's t with two degrees of freedom is beyond 1 in 42.26 % of cases.
    """
    assert lack_of_fit(groups([1, 3], [2, 4]), [2, 2], parameters=1) == pytest.approx(0.42265, abs=1e-5)


def test_a_fit_that_is_off_by_far_more_is_not():
    assert lack_of_fit(groups([1, 1.1], [5, 5.1], [1, 1.1]), [2, 2, 2], parameters=1) < 0.001


def test_a_fit_of_the_means_is_as_good_as_it_can_be():
    assert lack_of_fit(groups([1, 3], [2, 4]), [2, 3], parameters=1) == 1


@pytest.mark.parametrize(
    ("found", "parameters"), [(groups([1, 3], [2, 4]), 2), (groups([1], [2], [9]), 1), (groups([1, 1], [2, 2]), 1)]
)
def test_without_spare_groups_or_repeated_values_nothing_speaks_against_it(found, parameters):
    assert lack_of_fit(found, [each.mean() for each in found], parameters=parameters) == 1


def test_where_values_do_not_differ_at_all_every_misfit_is_one():
    assert lack_of_fit(groups([1, 1], [2, 2]), [1.5, 1.5], parameters=1) == 0


def test_an_interval_from_resampled_values_leaves_out_a_fortieth_at_either_end_and_may_be_infinite():
    samples = np.array([[float(n), math.inf if n > 90 else n] for n in range(1, 101)])
    assert quantile_intervals(samples) == ([3.0, 3.0], [98.0, math.inf])
