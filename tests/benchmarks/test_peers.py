"""The rate of a queue is that of the middle of its jobs."""

import pytest

from benchmarks.peers.rate import jobs_per_s


def test_jobs_that_follow_each_other_evenly_have_their_own_rate():
    assert jobs_per_s([number * 0.01 for number in range(200)]) == pytest.approx(100)


def test_neither_a_slow_beginning_nor_a_slow_end_counts():
    middle = [100 + number * 0.01 for number in range(180)]
    assert jobs_per_s([*range(10), *middle, *range(1000, 1010)]) == pytest.approx(100)


def test_a_few_jobs_have_no_rate():
    with pytest.raises(ValueError, match="9 jobs were done"):
        jobs_per_s([1.0] * 9)
