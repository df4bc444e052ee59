"""The law of scaling: known parameters come back from what they make, and nothing is said beyond what was measured."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.sweep.scaling import Law, fit

NODES = (1, 2, 4, 8, 16)


def made_by(one, contention, coherency, nodes=NODES):
    """What the law itself gives, three trials each, by the formula as Gunther has it."""
    return {n: [one * n / (1 + contention * (n - 1) + coherency * n * (n - 1))] * 3 for n in nodes}


def test_nodes_that_do_not_meet_do_so_many_times_the_work_of_one():
    law = fit(made_by(100, 0, 0))
    assert law.one_node_per_s == pytest.approx(100, rel=1e-3)
    assert (law.contention.value, law.coherency.value, law.peak) == (0, 0, None)
    assert law.per_s(8) == pytest.approx(800, rel=1e-3)


def test_what_is_done_by_one_at_a_time_bounds_all():
    # A quarter is: eight nodes do 8 / (1 + 0.25 * 7) = 2.91 times what one does.
    law = fit(made_by(100, 0.25, 0))
    assert law.contention.value == pytest.approx(0.25, abs=0.005)
    assert law.coherency.value == pytest.approx(0, abs=0.001)
    assert law.per_s(8) == pytest.approx(290.9, rel=0.01)


def test_a_peak_is_told_where_it_was_measured():
    # sqrt((1 - 0.04) / 0.015) = 8.
    assert fit(made_by(100, 0.04, 0.015)).peak == pytest.approx(8, rel=0.02)
    assert fit(made_by(100, 0.04, 0.015, nodes=(1, 2, 4))).peak is None


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 1e4), st.floats(0.01, 0.5), st.floats(0.001, 0.05))
def test_known_parameters_come_back(one, contention, coherency):
    law = fit(made_by(one, contention, coherency), resamples=1)
    assert law.one_node_per_s == pytest.approx(one, rel=0.01)
    assert law.contention.value == pytest.approx(contention, abs=0.005)
    assert law.coherency.value == pytest.approx(coherency, abs=0.001)


def test_the_interval_holds_the_value_and_is_wider_where_trials_differ():
    rng = np.random.default_rng(7)
    exact = made_by(100, 0.1, 0.005)
    noisy = {n: [value * math.exp(rng.normal(0, 0.1)) for value in values * 3] for n, values in exact.items()}
    law, sure = fit(noisy), fit(exact)
    for estimate in (law.contention, law.coherency):
        assert estimate.low <= estimate.value <= estimate.high
    assert law.contention.high - law.contention.low > 10 * (sure.contention.high - sure.contention.low)


@pytest.mark.parametrize("measured", [{}, {1: [10.0]}, {1: [10.0], 2: [20.0]}, {1: [10.0], 2: [20.0], 4: []}])
def test_fewer_than_three_numbers_of_nodes_make_no_law(measured):
    assert fit(measured) is None


def test_the_same_trials_have_the_same_law_and_it_is_read_as_it_was_written():
    law = fit(made_by(100, 0.1, 0.01))
    assert law == fit(made_by(100, 0.1, 0.01))
    assert Law.from_dict(law.to_dict()) == law
