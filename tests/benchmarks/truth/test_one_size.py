"""The ratio of two queues is computed job by job, and varies less with the same number of jobs in each round."""

import numpy as np
import pytest

from benchmarks.truth import one_size
from producer.plan.arrivals import poisson, poisson_of_one_size


def test_jobs_wait_for_the_slot_that_is_free_first():
    """Jobs of 2 s, due at 0, 1, 1.5 and 6 s: on one slot they end at 2, 4, 6, 8; on two at 2, 3, 4, 8."""
    due_s = np.array([0.0, 1.0, 1.5, 6.0])
    assert one_size.sojourns_s(due_s, 1, 2.0).tolist() == [2.0, 3.0, 4.5, 2.0]
    assert one_size.sojourns_s(due_s, 2, 2.0).tolist() == [2.0, 2.0, 2.5, 2.0]


@pytest.mark.parametrize("lanes", one_size.LANES, ids=lambda lanes: lanes.name)
def test_one_number_of_jobs_makes_the_ratio_of_two_lanes_clearer(lanes):
    random, same = (one_size.log_ratios(lanes, arrivals, rounds=300) for arrivals in (poisson, poisson_of_one_size))
    assert same.std() < random.std()
    assert abs(same.mean()) / same.std() > abs(random.mean()) / random.std()
