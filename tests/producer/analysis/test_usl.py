"""The law of scaling: known parameters come back from what they make, and nothing is said beyond what was measured."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from producer.analysis.usl import Law, fit

NODES = (1, 2, 4, 8, 16)


def made_by(one, contention, coherency, nodes=NODES):
    """What the law itself gives, three trials each, by the formula as Gunther has it."""
    return {n: [one * n / (1 + contention * (n - 1) + coherency * n * (n - 1))] * 3 for n in nodes}


def test_nodes_that_do_not_meet_do_so_many_times_the_work_of_one():
    law = fit(made_by(100, 0, 0))
    assert law.one_node_per_s == pytest.approx(100)
    assert (law.contention.value, law.coherency.value) == pytest.approx((0, 0), abs=1e-9)
    assert law.peak is None
    assert law.per_s(8) == pytest.approx(800)


def test_what_is_done_by_one_at_a_time_bounds_all():
    # A quarter is: eight nodes do 8 / (1 + 0.25 * 7) = 2.91 times what one does.
    law = fit(made_by(100, 0.25, 0))
    assert law.contention.value == pytest.approx(0.25)
    assert law.coherency.value == pytest.approx(0, abs=1e-9)
    assert law.per_s(8) == pytest.approx(800 / 2.75)


def test_a_peak_is_told_where_it_was_measured():
    # sqrt((1 - 0.04) / 0.015) = 8.
    peak = fit(made_by(100, 0.04, 0.015)).peak
    assert (peak.low, peak.value, peak.high) == pytest.approx((8, 8, 8), rel=1e-3)


def test_a_peak_beyond_what_was_measured_is_there_and_not_told():
    law = fit(made_by(100, 0.04, 0.015, nodes=(1, 2, 4)))
    assert (law.peak, law.has_a_peak) == (None, True)


def test_without_an_interval_of_coherency_above_zero_no_peak_is_told():
    """The best fit has one; two trials a value that differ by a tenth do not show it."""
    exact = made_by(100, 0.2, 0.02, nodes=(1, 2, 4, 8))
    law = fit({n: [each * off for each, off in zip(values, (0.9, 1.1), strict=False)] for n, values in exact.items()})
    assert law.coherency.value > 0
    assert (law.coherency.low, law.peak, law.has_a_peak) == (0, None, False)


def test_a_peak_whose_upper_end_lies_beyond_what_was_measured_has_none():
    exact = made_by(100, 0.04, 0.017, nodes=(1, 2, 4, 8))  # sqrt(0.96 / 0.017) is 7.5
    law = fit({n: [value * off for off in (0.97, 1.0, 1.03)] for n, (value, *_) in exact.items()})
    assert law.peak.low < law.peak.value < 8
    assert law.peak.high is None


def test_values_that_follow_no_such_law_say_so_and_have_no_peak():
    """Two nodes do twice as much as one, and more do no more: the law would have a peak at about four."""
    trials = {n: [value * off for off in (0.98, 1.0, 1.02)] for n, value in ((1, 100), (2, 200), (4, 200), (8, 200))}
    law = fit(trials)
    assert law.coherency.low > 0
    assert (law.peak, law.has_a_peak) == (None, False)
    assert law.misfit == pytest.approx(
        max(abs(law.per_s(n) / np.mean(each) - 1) for n, each in trials.items()), abs=0.01
    )
    assert law.misfit > 0.1


@pytest.mark.parametrize("nodes", [(1, 2, 4), (1, 2, 4, 8)])
def test_what_follows_the_law_or_has_no_more_values_than_parameters_fits(nodes):
    assert fit(made_by(100, 0.2, 0.01, nodes=nodes)).misfit is None
    assert fit({n: values[:1] for n, values in made_by(100, 0.2, 0.01, nodes=nodes).items()}).misfit is None


@pytest.mark.parametrize("measured", [made_by(100, 0.1, 0.01), made_by(50, 0.9, 0), made_by(2000, 0, 0.2)])
def test_throughput_is_that_of_the_formula(measured):
    law = fit(measured)
    assert [law.per_s(nodes) for nodes in measured] == pytest.approx([per_s for per_s, *_ in measured.values()])


def test_a_second_node_that_only_harms_leaves_the_peak_at_one():
    # sqrt(1 / 1.5) would be at 0.8 nodes.
    assert fit(made_by(100, 0, 1.5)).peak.value == 1


def test_of_the_work_no_more_than_all_is_done_by_one_at_a_time():
    law = fit({1: [100.0, 102], 2: [90.0, 92], 4: [85.0, 86]})
    assert max(law.contention.value, law.contention.high) <= 1
    assert law.coherency.value > 0


@settings(max_examples=50, deadline=None)
@given(st.floats(1, 1e4), st.floats(0, 1), st.floats(0, 0.5))
def test_known_parameters_come_back(one, contention, coherency):
    law = fit(made_by(one, contention, coherency), resamples=1)
    assert law.one_node_per_s == pytest.approx(one, rel=1e-5)
    assert law.contention.value == pytest.approx(contention, abs=1e-5)
    assert law.coherency.value == pytest.approx(coherency, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.9), st.floats(0, 0.1), st.floats(0.01, 0.4))
def test_no_other_law_is_nearer_to_the_trials(seed, contention, coherency, noise):
    """The same search by scipy's bounded least squares, from two places, finds none."""
    rng = np.random.default_rng(seed)
    nodes = np.repeat([1.0, 2.0, 4.0, 8.0], 3)
    lost = 1 + contention * (nodes - 1) + coherency * nodes * (nodes - 1)
    logs = np.log(nodes / lost) + rng.normal(0, noise, len(nodes))
    law = fit({count: np.exp(logs[nodes == count]).tolist() for count in (1, 2, 4, 8)}, resamples=1)
    ours = sum((math.log(law.per_s(n)) - each) ** 2 for n, each in zip(nodes, logs, strict=True))

    def off(given):
        return given[0] + np.log(nodes / (1 + given[1] * (nodes - 1) + given[2] * nodes * (nodes - 1))) - logs

    bounds = ([-np.inf, 0, 0], [np.inf, 1, np.inf])
    theirs = min(2 * least_squares(off, [0, *start], bounds=bounds).cost for start in [(0.1, 0.01), (0.6, 0.001)])
    assert ours <= theirs * (1 + 1e-6)


def test_95_of_100_intervals_hold_what_made_the_trials():
    """Of 200 sweeps with three trials at four values, each off by some 5 %."""
    rng = np.random.default_rng(1)
    contention, coherency, held = 0.2, 0.01, [0, 0]
    for _ in range(200):
        exact = made_by(100, contention, coherency, nodes=(1, 2, 4, 8))
        law = fit({n: [value * math.exp(rng.normal(0, 0.05)) for value in found] for n, found in exact.items()},
                  resamples=100)  # fmt: skip
        held[0] += law.contention.low <= contention <= law.contention.high
        held[1] += law.coherency.low <= coherency <= law.coherency.high
    assert min(held) >= 180


def test_as_many_trials_as_parameters_have_a_law_without_intervals():
    law = fit({1: [100.0], 2: [150.0], 4: [190.0]})
    assert law.per_s(4) == pytest.approx(190)
    assert (law.contention.low, law.contention.high, law.coherency.low) == (None, None, None)
    assert fit({1: [100.0], 2: [150.0, 151.0], 4: [190.0]}).contention.low is not None


def test_trials_that_say_nothing_of_one_node_have_no_law():
    # As if each node only stood in the way of the others: with none of them, jobs would take no time.
    assert fit({n: [100 / (n - 1)] * 2 for n in (2, 4, 8)}) is None


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
    assert msgspec.convert(msgspec.to_builtins(law), Law) == law
