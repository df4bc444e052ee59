"""Trials of two lanes are compared round by round, and only where nothing else than the lanes was at work."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nouns import paired, trial_result

from producer.analysis.pairs import pair, ratio_of_jobs
from producer.rundir.trials import Kind


def backlog(lane, turn, capacity_per_s, **others):
    """A trial of capacity."""
    return trial_result(lane, turn, capacity_per_s=capacity_per_s, **others)


def held(lane, turn, *sojourns_s, **others):
    """A trial of latency, with the sojourn times of its jobs."""
    return trial_result(lane, turn, Kind.LATENCY, sojourns_s=sojourns_s, **others)


def test_trials_of_the_same_round_form_a_pair_whatever_their_order():
    results = [backlog("a", 0, 1.0), backlog("b", 0, 2.0), backlog("b", 1, 4.0), backlog("a", 1, 3.0)]
    (comparison,) = pair(results)
    assert (comparison.measure, comparison.workload, comparison.a, comparison.b) == ("capacity", "sleep", "a", "b")
    assert comparison.ratios == [0.5, 0.75]


def test_every_two_lanes_are_compared_on_every_workload_and_measure_that_a_race_has():
    results = [
        trial_result(lane, 0, kind, workload, capacity_per_s=1.0, sojourns_s=[1.0])
        for workload in ("cpu", "io")
        for kind in Kind
        for lane in ("a", "b", "c")
    ]
    lanes = [("a", "b"), ("a", "c"), ("b", "c")]
    found = [(c.measure, c.workload, c.a, c.b) for c in pair(results)]
    assert len(found) == 12
    assert set(found) == {(m, w, a, b) for m in ("capacity", "latency") for w in ("cpu", "io") for a, b in lanes}


def test_latency_is_compared_job_by_job():
    """A job that takes twice as long and one that takes half as long cancel out, however long each is."""
    (comparison,) = pair([held("a", 0, 0.2, 5.0, 1.0), held("b", 0, 0.1, 10.0, 1.0)])
    assert comparison.measure == "latency"
    assert comparison.ratios == [pytest.approx(1.0)]


def test_a_job_that_only_one_lane_did_is_compared_with_none():
    # 2 and 8 times as long: the geometric mean is 4. The second job is in the lead-in, the fourth of one lane alone.
    assert ratio_of_jobs(np.array([2.0, np.nan, 8.0, 9.0]), np.array([1.0, 1.0, 1.0])) == pytest.approx(4.0)


@pytest.mark.parametrize(("a", "b"), [([], []), ([np.nan], [1.0]), ([0.0], [1.0]), ([1.0], [-1.0])])
def test_jobs_that_cannot_be_compared_have_no_ratio(a, b):
    assert ratio_of_jobs(np.array(a), np.array(b)) is None


TIMES = st.lists(st.tuples(*[st.floats(min_value=1e-3, max_value=1e3) | st.just(math.nan)] * 2), max_size=9)


@given(TIMES)
def test_the_ratio_of_jobs_turns_round_with_the_lanes(times):
    a, b = np.array(times).reshape(-1, 2).T
    one, other = ratio_of_jobs(a, b), ratio_of_jobs(b, a)
    assert (one is None) == (other is None)
    if one is not None:
        assert one == pytest.approx(1 / other)


@pytest.mark.parametrize("fate", ["failed", "lost", "duplicated", "queued", "retried", "revoked", "refused"])
def test_a_trial_in_which_a_job_was_not_done_once_gives_no_ratio(fate):
    assert pair([backlog("a", 0, 1.0), backlog("b", 0, 2.0, fates={fate: 1})])[0].ratios == [None]


def test_a_trial_that_did_not_happen_gives_no_ratio():
    assert pair([backlog("a", 0, 1.0), backlog("b", 0, 2.0), backlog("a", 1, 3.0)])[0].ratios == [0.5, None]


def test_a_round_with_a_disturbed_trial_is_not_there_at_all():
    """It is repeated, so it is not counted as left out; the others keep their starts."""
    results = [
        backlog("a", 0, 1.0, start=1), backlog("b", 0, 2.0, start=1, disturbed="the clock jumped"),
        backlog("a", 1, 3.0, start=2), backlog("b", 1, 4.0, start=2),
    ]  # fmt: skip
    (comparison,) = pair(results)
    assert (comparison.ratios, comparison.starts) == ([0.75], [2])


def test_one_disturbed_trial_sets_the_round_aside_for_every_two_lanes():
    """Otherwise the lanes that were not disturbed would be compared on other rounds than the rest."""
    results = [backlog(lane, turn, 1.0) for lane in "ab" for turn in range(2)]
    results += [backlog("c", 0, 1.0), backlog("c", 1, 1.0, disturbed="a job was lost")]
    assert [comparison.ratios for comparison in pair(results)] == [[1.0]] * 3


def test_a_disturbed_trial_of_another_kind_or_workload_sets_nothing_aside():
    results = [backlog(lane, 0, 1.0) for lane in "ab"]
    results += [held("a", 0, 1.0, disturbed="the generator was late")]
    results += [backlog("b", 0, 1.0, workload="io", disturbed="a job was lost")]
    assert pair(results)[0].ratios == [1.0]


def test_failures_are_shared_over_all_measured_trials_of_the_workload():
    """6 of 100 and 0 of 200 jobs: 2 %; the warm-up and other workloads do not count."""
    results = [
        backlog("a", 0, 1.0, fates={"failed": 6}),
        held("a", 0, 1.0, n=200),
        trial_result("a", 0, Kind.WARM_UP, fates={"failed": 50}),
        backlog("a", 0, 1.0, workload="io", fates={"failed": 50}),
        backlog("b", 0, 1.0),
    ]
    (comparison,) = [each for each in pair(results) if each.b == "b"]
    assert (comparison.failed_share_a, comparison.failed_share_b) == (0.02, 0.0)


@pytest.mark.parametrize(("share", "failing"), [(0.01, {}), (0.011, {"prefork": 0.011})])
def test_one_failure_in_a_hundred_is_borne(share, failing):
    assert paired([], failed_share_a=share).failing == failing


def test_an_unknown_measure_is_refused():
    with pytest.raises(ValueError, match="measure 'speed': must be one of capacity, latency"):
        paired([], measure="speed")


def test_a_lane_is_not_compared_with_itself():
    with pytest.raises(ValueError, match="lane 'threads' against itself"):
        paired([], a="threads")
