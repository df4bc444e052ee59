"""Intervals of percentiles: by hand, at their ends, and that they hold what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.analysis.percentiles import PER_MILLE, interval_ranks, likeness, percentiles

NAMES = st.sampled_from([*PER_MILLE])


def groups(number, size):
    return np.repeat(np.arange(number), size)


def test_independent_jobs_have_the_interval_of_the_binomial():
    # 4 groups of 100 values, in each of which just half are at or below: only chance within them is left, so
    # 1.96 x sqrt(400 x 0.5 x 0.5) = 19.6: from rank 180.4, down, to 219.6, up and one more.
    sizes = np.full(4, 100)
    assert likeness(0.5, np.full(4, 50), sizes) == 0
    assert interval_ranks(0.5, sizes, alike_below=0.0, alike_above=0.0) == (180, 221)


def test_groups_that_differ_have_a_wider_interval():
    # 40, 60, 40 and 60 of 100: off by 10 each, so 4 / 3 x 400 = 533, where 400 x 0.5 x 0.5 = 100 is chance alone.
    sizes = np.full(4, 100)
    alike = likeness(0.5, np.array([40, 60, 40, 60]), sizes)
    assert alike == pytest.approx(16 / 3)
    # t of 3 degrees is 3.182, times sqrt(533) it is 73.5: from rank 126.5 to 273.5.
    assert interval_ranks(0.5, sizes, alike_below=alike, alike_above=alike) == (126, 275)
    assert interval_ranks(0.5, sizes, alike_below=alike, alike_above=0.0) == (126, 221)


def test_groups_of_different_sizes_are_held_against_their_own_size():
    """Half of each group is at or below, whatever its size: nothing beyond chance."""
    sizes = np.array([10, 100, 290])
    assert likeness(0.5, sizes // 2, sizes) == 0


def test_what_comes_in_bursts_widens_the_lower_end_of_rarer_percentiles_too():
    """All slow jobs are of one trial of five: the two beyond p99 cannot show it, those beyond p90 do."""
    slow = np.concatenate([np.arange(160.0), 1_000 + np.arange(40.0)])
    spread_out = np.arange(200) % 5
    in_bursts, apart = percentiles(slow, groups(5, 40)), percentiles(slow, spread_out)
    assert in_bursts.p99 == apart.p99
    assert in_bursts.p99_low < apart.p99_low - 10


def test_the_ends_of_an_interval_are_values_and_the_percentile_lies_between():
    # Each of 4 groups has every 4th value of 1..400, so they are alike; p50 is 200, p90 is 360.
    found = percentiles(np.arange(1.0, 401.0), np.arange(400) % 4)
    assert (found.p50, found.interval("p50")) == (200.0, (180.0, 221.0))
    # 1.96 x sqrt(0.9 x 0.1 / 400) x 400 = 11.8: ranks 348.2 and 371.8.
    assert (found.p90, found.p90_low, found.p90_high) == (360.0, 348.0, 373.0)


def test_an_end_beyond_which_no_value_lies_is_unknown():
    # 1.96 x sqrt(0.99 x 0.01 / 400) x 400 = 3.9: ranks 392.1 and 399.9, up 400 and one more: there is none.
    found = percentiles(np.arange(1.0, 401.0), np.arange(400) % 4)
    assert found.interval("p99") == (392.0, None)
    # Five values, each a group: 2.776 x sqrt(5 / 4 x 1.2) / 5 = 0.68, which is more than there is on either side.
    assert percentiles(np.arange(1.0, 6.0), np.arange(5)).interval("p50") == (None, None)


@pytest.mark.parametrize("of", [None, np.zeros(400, dtype=np.int64)])
def test_without_two_groups_there_is_no_interval(of):
    found = percentiles(np.arange(400.0), of)
    assert {found.interval(name) for name in PER_MILLE} == {(None, None)}


def test_groups_of_which_no_value_was_taken_do_not_count():
    values, of = np.arange(400.0), np.arange(400) % 4
    with_more = percentiles(np.append(values, [np.nan] * 3), np.append(of, [7, 8, 9]))
    assert with_more == percentiles(values, of)


@pytest.mark.parametrize(("name", "n"), [("p50", 1), ("p90", 9), ("p99", 99), ("p99.9", 999)])
def test_a_percentile_is_the_maximum_again_as_long_as_no_value_lies_beyond(name, n):
    assert percentiles(np.arange(float(n))).is_maximum(name)
    assert not percentiles(np.arange(float(n + 1))).is_maximum(name)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 5)), min_size=1, max_size=200), NAMES)
def test_whatever_the_values_an_interval_holds_its_percentile(jobs, name):
    values, of = (np.array(column) for column in zip(*jobs, strict=True))
    found = percentiles(values, of)
    low, high = found.interval(name)
    assert low is None or low <= found.statistic(name)
    assert high is None or high >= found.statistic(name)


@pytest.mark.parametrize("seed", range(3))
def test_intervals_hold_the_truth_in_95_of_100_runs_though_jobs_of_a_trial_resemble_each_other(seed):
    """5 trials of 40 jobs, each job slow by what all of its trial share: the truth is drawn apart, 400 runs."""
    draw = np.random.default_rng(seed)

    def runs(number):
        shared = draw.normal(size=(number, 5, 1))
        return np.exp(shared + draw.normal(size=(number, 5, 40))).reshape(number, -1)

    truth = np.quantile(runs(4_000), 0.9)
    ends = [percentiles(values, groups(5, 40)).interval("p90") for values in runs(400)]
    held = [(low is None or low <= truth) and (high is None or truth <= high) for low, high in ends]
    assert np.mean(held) > 0.93
