"""Arrivals: due times are sound, exact, reproducible and distributed as they claim."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from producer.plan.arrivals import (
    MAX_JOBS,
    Plan,
    backlog,
    constant,
    held,
    poisson,
    poisson_of_one_size,
    seed_for,
    split,
)

RATES = st.floats(min_value=0.01, max_value=1_000)
DURATIONS = st.floats(min_value=0.01, max_value=20)
SEEDS = st.integers(min_value=0, max_value=2**53 - 1)


def test_a_backlog_is_all_due_at_the_start():
    plan = backlog(3)
    assert plan.due_s.tolist() == [0.0, 0.0, 0.0]
    assert plan.jobs == 3
    assert plan.duration_s == 0.0
    assert plan.rate_per_s is None


def test_constant_arrivals_are_one_interval_apart_and_start_at_once():
    # 4 a second for 1.5 s: 0, 1/4, 2/4, 3/4, 4/4, 5/4; the next would be at 6/4 = 1.5, which is the end.
    plan = constant(4, 1.5)
    assert plan.due_s.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
    assert plan.rate_per_s == 4
    assert plan.duration_s == 1.25


def test_constant_arrivals_do_not_drift():
    """The 999,999th interval of 1/3 s ends where division says, not where a million additions would."""
    plan = constant(3, 333_333.5)
    assert plan.due_s[999_999] == 999_999 / 3


@pytest.mark.parametrize(
    ("rate_per_s", "duration_s", "jobs"),
    [
        (1, 0.5, 1),  # only the job at 0
        (10, 0.3, 3),  # 0, 0.1, 0.2; 3/10 is 0.3 itself
        (10, 0.7, 7),  # 10 x 0.7 is 7.000000000000001 in floats only if badly rounded; 7/10 is the end
        (3, 1 / 3, 1),  # 1/3 is the end
        (0.1, 30, 3),  # 0, 10, 20
    ],
)
def test_constant_arrivals_end_before_the_end(rate_per_s, duration_s, jobs):
    assert constant(rate_per_s, duration_s).jobs == jobs


@settings(deadline=None)
@given(RATES, DURATIONS)
def test_constant_arrivals_fill_the_duration_exactly(rate_per_s, duration_s):
    plan = constant(rate_per_s, duration_s)
    assert plan.due_s.tolist() == [i / rate_per_s for i in range(plan.jobs)]
    assert plan.duration_s < duration_s <= plan.jobs / rate_per_s


@settings(deadline=None)
@given(RATES, DURATIONS, SEEDS)
def test_poisson_arrivals_are_ascending_and_within_the_duration(rate_per_s, duration_s, seed):
    due_s = poisson(rate_per_s, duration_s, seed).due_s
    assert (np.diff(due_s) >= 0).all()
    assert (due_s >= 0).all()
    assert (due_s < duration_s).all()


@settings(deadline=None)
@given(RATES, DURATIONS, SEEDS)
def test_the_same_seed_gives_the_same_plan(rate_per_s, duration_s, seed):
    assert poisson(rate_per_s, duration_s, seed).due_s.tolist() == poisson(rate_per_s, duration_s, seed).due_s.tolist()


def test_another_seed_gives_another_plan():
    assert poisson(100, 10, 1).due_s.tolist() != poisson(100, 10, 2).due_s.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_poisson_arrivals_keep_their_rate(seed):
    """1,000/s for 10 s: 10,000 jobs expected, standard deviation sqrt(10,000) = 100, so 5 sigma is 500."""
    assert abs(poisson(1_000, 10, seed).jobs - 10_000) <= 500


def test_the_number_of_poisson_arrivals_varies_as_much_as_its_mean():
    """Variance = mean = 50; over 2,000 plans it is known to sqrt(2 / 2,000) = 3.2 %, and 5 sigma is 16 %."""
    counts = [poisson(5, 10, seed).jobs for seed in range(2_000)]
    assert np.var(counts) == pytest.approx(50, rel=0.16)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gaps_between_poisson_arrivals_are_exponential(seed):
    """Kolmogorov-Smirnov at one in a thousand; the seeds are fixed, so the test cannot flicker."""
    gaps_s = np.diff(poisson(200, 50, seed).due_s)
    assert stats.kstest(gaps_s, "expon", args=(0, 1 / 200)).pvalue > 0.001


def test_successive_poisson_gaps_are_unrelated():
    """Correlation of 10,000 pairs has a standard deviation of 1/sqrt(10,000) = 0.01; 5 sigma is 0.05."""
    gaps_s = np.diff(poisson(200, 50, 4).due_s)
    assert abs(np.corrcoef(gaps_s[:-1], gaps_s[1:])[0, 1]) < 0.05


@settings(deadline=None)
@given(RATES, DURATIONS, SEEDS)
def test_poisson_plans_of_one_size_have_as_many_jobs_as_the_rate_makes(rate_per_s, duration_s, seed):
    plan = poisson_of_one_size(rate_per_s, duration_s, seed)
    assert plan.jobs == max(1, round(rate_per_s * duration_s))
    assert plan.rate_per_s == rate_per_s
    assert ((plan.due_s >= 0) & (plan.due_s < duration_s)).all()
    assert (np.diff(plan.due_s) >= 0).all()
    assert plan.due_s.tolist() == poisson_of_one_size(rate_per_s, duration_s, seed).due_s.tolist()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_poisson_plan_of_one_size_is_due_at_any_time_alike_and_in_bursts(seed):
    """Given their number, due times are uniform, and the gaps between many of them exponential; KS at one in 1,000."""
    due_s = poisson_of_one_size(200, 50, seed).due_s
    assert stats.kstest(due_s, "uniform", args=(0, 50)).pvalue > 0.001
    assert stats.kstest(np.diff(due_s), "expon", args=(0, 1 / 200)).pvalue > 0.001


def test_a_held_rate_has_the_arrivals_that_were_asked_for():
    assert np.array_equal(held(20, 5, "poisson", 3).due_s, poisson(20, 5, 3).due_s)
    assert np.array_equal(held(20, 5, "constant", 3).due_s, constant(20, 5).due_s)


def test_a_held_rate_of_which_chance_leaves_no_job_has_one_nevertheless():
    seed = next(seed for seed in range(100) if not poisson(0.5, 1, seed).jobs)
    assert held(0.5, 1, "poisson", seed).due_s.tolist() == [0.0]


def test_a_plan_cannot_be_changed():
    plan = constant(10, 1)
    with pytest.raises(ValueError, match="read-only"):
        plan.due_s[0] = 5.0


def test_a_plan_does_not_follow_the_array_it_was_made_from():
    due_s = np.array([0.0, 1.0])
    plan = Plan(due_s=due_s, rate_per_s=1.0)
    due_s[1] = 9.0
    assert plan.due_s.tolist() == [0.0, 1.0]


def test_a_plan_without_jobs_lasts_no_time():
    """Poisson arrivals at a low rate may well have none."""
    assert Plan(due_s=np.array([]), rate_per_s=0.1).duration_s == 0.0


@pytest.mark.parametrize("due_s", [[1.0, 0.5], [-0.1, 0.0], [0.0, float("nan")], [0.0, float("inf")]])
def test_due_times_that_cannot_be_kept_are_refused(due_s):
    with pytest.raises(ValueError, match="must be finite, 0 or more, and ascending"):
        Plan(due_s=np.array(due_s), rate_per_s=None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: backlog(0), r"jobs 0: must be 1 to 100000000"),
        (lambda: backlog(MAX_JOBS + 1), r"jobs 100000001: must be 1 to 100000000"),
        (lambda: constant(0, 1), r"rate 0 per s: must be above 0 and finite"),
        (lambda: constant(-1.5, 1), r"rate -1.5 per s: must be above 0"),
        (lambda: constant(float("nan"), 1), r"rate nan per s: must be above 0"),
        (lambda: constant(float("inf"), 1), r"rate inf per s: must be above 0 and finite"),
        (lambda: constant(1, 0), r"duration 0 s: must be above 0 and finite"),
        (lambda: poisson(1, float("inf"), 1), r"duration inf s: must be above 0 and finite"),
        (lambda: poisson(1, 1, -1), r"seed -1: must be 0 or more"),
        (lambda: poisson(1e6, 1_000, 1), r"must be at most 100000000 jobs in all"),
        (lambda: split(backlog(1), 0, 0), r"parts 0: must be 1 or more"),
        (lambda: split(backlog(1), 2, 2), r"part 2: must be 0 to 1"),
        (lambda: split(backlog(1), 2, -1), r"part -1: must be 0 to 1"),
    ],
)
def test_a_value_out_of_range_is_quoted_with_the_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_seeds_are_the_same_in_every_process():
    """A fresh interpreter salts its string hashes anew; the seed must not depend on that."""
    script = "from producer.plan.arrivals import seed_for; print(seed_for(7, 'arrivals', 3))"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(other.stdout) == seed_for(7, "arrivals", 3)


def test_a_seed_is_pinned_forever():
    """A stored run is planned again from its seed, also by a later version."""
    assert seed_for(7, "arrivals", 3) == 6945165197779405


def test_every_name_and_number_gives_its_own_seed():
    seeds = [seed_for(1), seed_for(2), seed_for(1, "a"), seed_for(1, "a", 1), seed_for(1, "a", "1"), seed_for(1, "a1")]
    seeds += [seed_for(1, "arrivals", trial) for trial in range(1_000)]
    assert len(set(seeds)) == len(seeds)


@settings(deadline=None)
@given(st.integers(), st.lists(st.one_of(st.text(), st.integers()), max_size=3))
def test_a_seed_fits_where_it_is_stored_and_used(seed, names):
    derived = seed_for(seed, *names)
    assert 0 <= derived < 2**53
    assert int(float(derived)) == derived


def test_publishers_take_jobs_in_turn():
    # Seven jobs dealt to three: 0 3 6, 1 4, 2 5.
    plan = constant(1, 7)
    assert [split(plan, 3, k)[0].tolist() for k in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]
    assert split(plan, 3, 1)[1].tolist() == [1.0, 4.0]


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=200), st.integers(min_value=1, max_value=10))
def test_every_job_has_exactly_one_publisher(jobs, parts):
    plan = constant(10, jobs / 10)
    shares = [split(plan, parts, k) for k in range(parts)]
    indices = np.concatenate([indices for indices, _ in shares])
    assert sorted(indices.tolist()) == list(range(plan.jobs))
    for share, due_s in shares:
        assert due_s.tolist() == plan.due_s[share].tolist()
