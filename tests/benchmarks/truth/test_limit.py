"""The simulation behind the promise of the limit: its queues are those of the textbook."""

import math

import numpy as np
import pytest

from benchmarks.truth.limit import (
    Queue,
    exponential_tail,
    probes_pass,
    search_real_nodes,
    searched,
    true_limit_per_s,
    waits,
    waits_of_equal_jobs,
)

ONE = Queue(slots=1, service_s=0.1, random=True, slo_s=0.5)


def test_one_slot_with_exponential_times_has_an_exponential_sojourn():
    """M/M/1 at 6/s of 10/s: with the rate 10 - 6, so e to the -4 * 0.5 take longer than half a second."""
    assert exponential_tail(ONE, 6.0) == pytest.approx(math.exp(-2))


def test_the_limit_of_one_slot_is_where_a_hundredth_takes_longer():
    """(10 - rate) * 0.5 is the logarithm of 100, so the rate is 0.790."""
    assert true_limit_per_s(ONE) == pytest.approx(10 - 2 * math.log(100), rel=1e-6)


def test_two_slots_wait_as_by_erlangs_formula():
    """Of M/M/2 at half of its capacity a third waits: 0.5 ** 2 * 2 / (1.5). After 0 s all have still to be served."""
    queue = Queue(slots=2, service_s=0.1, random=True, slo_s=1e-9)
    assert exponential_tail(queue, 10.0) == pytest.approx(1)
    rng = np.random.default_rng(1)
    due_s = np.cumsum(rng.exponential(0.1, (20, 20_000)), axis=1)
    waited_s = waits(due_s, rng.exponential(0.1, due_s.shape), slots=2)
    assert (waited_s > 0).mean() == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
def test_equal_jobs_wait_as_any_others_do(slots):
    due_s = np.cumsum(np.random.default_rng(slots).exponential(0.05 / slots, (3, 500)), axis=1)
    assert waits_of_equal_jobs(due_s, slots, 0.05) == pytest.approx(waits(due_s, np.full_like(due_s, 0.05), slots))


def test_jobs_by_hand():
    """One slot of 2 s: the second job comes a second early, the third is behind both."""
    assert waits_of_equal_jobs(np.array([[0.0, 1.0, 1.5, 9.0]]), 1, 2.0).tolist() == [[0.0, 1.0, 2.5, 0.0]]


@pytest.mark.parametrize(("share", "passes"), [(0.3, True), (2.0, False)])
def test_probes_far_below_the_limit_pass_and_far_above_fail(share, passes):
    queue = Queue(slots=2, service_s=0.03, random=False, slo_s=0.5)
    found = probes_pass(queue, share * 2 / 0.03, 10.0, 20, np.random.default_rng(1))
    assert (found == passes).all()


def test_searches_of_a_queue_find_its_limit():
    found = searched(Queue(slots=2, service_s=0.03, random=True, slo_s=0.5), 10.0, searches=10, probes=40)
    assert found.searches == 10
    assert found.held >= 6
    assert 0.9 < found.ratio < 1.1
    assert 0.3 < found.passed_at_truth < 0.9


@pytest.mark.heavy
def test_real_nodes_whose_jobs_sleep_have_a_limit_below_what_their_slots_could_do_without_any_delay():
    found = search_real_nodes(probe_s=1.0)
    assert found.ideal_per_s == 160
    assert 0 < found.lane.limit_per_s < 1.2 * found.ideal_per_s
