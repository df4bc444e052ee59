"""Mixes: each workload has its exact share, and every process deals the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.errors import UsageError
from producer.plan.mix import deal_mix, mix_name, mix_text, parse_mix
from producer.plan.workloads import WORKLOADS


def counts(weights, jobs, seed):
    return np.bincount(deal_mix(weights, jobs, seed), minlength=len(weights)).tolist()


@pytest.mark.parametrize(("jobs", "shares"), [(40, [30, 10]), (75, [56, 19]), (13, [10, 3])])
def test_shares_are_those_that_were_asked_for(jobs, shares):
    """Three quarters of 40 jobs are 30; of 75 they are 56.25 and of 13 they are 9.75, which are rounded."""
    for seed in range(20):
        assert counts([75, 25], jobs, seed) == pytest.approx(shares, abs=0 if jobs == 40 else 1)


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=12).filter(any),
    st.integers(0, 400),
    st.integers(0, 2**53),
)
def test_every_share_is_exact_to_within_a_job(weights, jobs, seed):
    dealt = counts(weights, jobs, seed)
    assert sum(dealt) == jobs
    for count, weight in zip(dealt, weights, strict=True):
        assert abs(count - jobs * weight / sum(weights)) < 1 + 1e-6
        assert weight or not count


def test_what_is_left_of_a_job_is_dealt_in_as_many_of_many_rounds():
    """Of 10 jobs a part with 3 % is due 0.3: in 300 of 1,000 rounds, give or take 3 x 14.5."""
    rare = [counts([3, 97], 10, seed)[0] for seed in range(1_000)]
    assert set(rare) == {0, 1}
    assert sum(rare) == pytest.approx(300, abs=44)


def test_the_order_is_random():
    """Of ten jobs of each of two parts the first is of one as often as of the other."""
    first = [int(deal_mix([1, 1], 20, seed)[0]) for seed in range(1_000)]
    assert sum(first) == pytest.approx(500, abs=48)


def test_a_part_without_a_share_is_never_dealt():
    assert set(deal_mix([0, 1, 0], 500, 3)) == {1}


def test_the_same_seed_deals_the_same_and_another_does_not():
    first, again, other = (deal_mix([1, 1], 100, seed).tolist() for seed in (3, 3, 4))
    assert first == again != other


@given(st.dictionaries(st.sampled_from(WORKLOADS), st.integers(1, 99).map(float), min_size=1))
def test_what_is_written_reads_back(shares):
    expected = shares if len(shares) > 1 else dict.fromkeys(shares, 1.0)
    assert parse_mix(mix_text(shares), "--mix") == expected


@pytest.mark.parametrize(("parts", "name"), [(1, "a0"), (2, "a0=0.5,a1=0.5"), (4, "a0=0.25,a1=0.25,a2=0.25,a3=0.25")])
def test_a_mix_of_few_is_called_by_its_shares(parts, name):
    assert mix_name({f"a{number}": 1 / parts for number in range(parts)}) == name


def test_a_mix_of_many_is_called_by_their_number():
    assert mix_name({f"by_signal_{number}": 1 / 7 for number in range(7)}) == "mix of 7 tasks"


@pytest.mark.parametrize(
    ("text", "said"),
    [("cpu=1,oi=9", "unknown workload 'oi'"), ("cpu=x", "must be a number"), ("cpu=0", "all shares are zero")],
)
def test_a_mix_that_cannot_be_is_refused(text, said):
    with pytest.raises(UsageError, match="--mix") as refused:
        parse_mix(text, "--mix")
    assert said in str(refused.value)
