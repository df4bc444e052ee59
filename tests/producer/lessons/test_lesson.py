"""Estimates of a median by order statistics."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.lessons.lesson import Estimate, Python, estimate


def test_five_values_are_too_few_for_an_interval() -> None:
    # All five on one side of the median: 2 / 32, which is more than 5 %.
    assert estimate([5, 1, 4, 2, 3]) == Estimate(3, None, None, 5)


def test_six_values_have_the_interval_from_the_least_to_the_largest() -> None:
    # 2 / 64 is less than 5 %; with the next value, (2 + 12) / 64 is not.
    assert estimate([6, 1, 5, 2, 4, 3]) == Estimate(3.5, 1, 6, 6)


def test_twenty_values_leave_out_five_at_each_end() -> None:
    # 2 P(X <= 5) = 4.1 % and 2 P(X <= 6) = 11.5 %, X binomial of 20 and 1/2: the sixth from each end.
    assert estimate(range(1, 21)) == Estimate(10.5, 6, 15, 20)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_the_value_lies_in_its_interval(values: list[float]) -> None:
    found = estimate(values)
    assert (found.low is None) == (len(values) < 6)
    if found.low is not None and found.high is not None:
        assert found.low <= found.value <= found.high


@pytest.mark.parametrize("count", [6, 9, 15, 40])
def test_the_interval_holds_the_median_as_often_as_it_says(count: int) -> None:
    draw = random.Random(count)
    held = 0
    for _ in range(2_000):
        found = estimate([draw.expovariate(1.0) for _ in range(count)])
        assert found.low is not None
        assert found.high is not None
        held += found.low <= math.log(2) <= found.high
    assert held / 2_000 > 0.94


def test_an_estimate_without_an_interval_is_above_and_below_nothing() -> None:
    alone = estimate([3.0])
    assert not alone.above(1)
    assert not alone.below(5)
    assert not alone.is_narrow
    assert f"{alone:.1f}" == "3.0"


def test_above_and_below_ask_for_the_whole_interval() -> None:
    found = Estimate(2.0, 1.5, 2.5, 8)
    assert found.above(1.4)
    assert not found.above(1.6)
    assert found.below(2.6)
    assert not found.below(2.4)
    assert f"{found:.1f}" == "2.0 (1.5 to 2.5)"


@pytest.mark.parametrize(
    ("found", "narrow"),
    [
        (Estimate(1.0, 0.95, 1.05, 8), True),
        (Estimate(1.0, 0.85, 1.05, 8), False),
        (Estimate(0.0, 0.0, 0.005, 8), True),
        (Estimate(0.0, 0.0, 0.5, 8), False),
    ],
)
def test_an_interval_is_narrow_within_a_tenth_or_a_hundredth_of_one(found: Estimate, narrow: bool) -> None:
    assert found.is_narrow is narrow


@pytest.mark.parametrize(
    ("free_threaded", "gil", "name"),
    [(False, True, "Python 3.14.7"), (True, False, "Python 3.14.7t"), (True, True, "Python 3.14.7t with the GIL on")],
)
def test_a_build_is_named_by_its_gil(free_threaded: bool, gil: bool, name: str) -> None:
    assert Python(version="3.14.7", free_threaded=free_threaded, gil=gil, cores=2).build == name
