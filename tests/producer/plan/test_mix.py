"""Mixes: each workload has its share, and every process draws the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.errors import UsageError
from producer.plan.mix import mix_text, parse_mix, sample_mix
from producer.plan.workloads import WORKLOADS


def test_shares_are_those_that_were_asked_for():
    message_index = sample_mix([1, 9], 20_000, 3)
    assert 0.08 < (message_index == 0).mean() < 0.12


def test_a_part_without_a_share_is_never_drawn():
    assert set(sample_mix([0, 1, 0], 500, 3)) == {1}


def test_the_same_seed_draws_the_same_and_another_does_not():
    first, again, other = (sample_mix([1, 1], 100, seed).tolist() for seed in (3, 3, 4))
    assert first == again != other


@given(st.dictionaries(st.sampled_from(WORKLOADS), st.integers(1, 99).map(float), min_size=1))
def test_what_is_written_reads_back(shares):
    expected = shares if len(shares) > 1 else dict.fromkeys(shares, 1.0)
    assert parse_mix(mix_text(shares), "--mix") == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [("cpu=1,oi=9", "unknown workload 'oi'"), ("cpu=x", "must be a number"), ("cpu=0", "all shares are zero")],
)
def test_a_mix_that_cannot_be_is_refused(text, said):
    with pytest.raises(UsageError, match="--mix") as refused:
        parse_mix(text, "--mix")
    assert said in str(refused.value)
