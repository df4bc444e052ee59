"""By how much something grows: by hand, and how often the interval holds the truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.analysis.trend import in_blocks, trend

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = 24


def test_values_on_a_line_have_its_slope_and_no_width() -> None:
    found = trend([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [7.0, 9.0, 11.0, 13.0, 15.0, 17.0])
    assert found is not None
    assert (found.slope, found.low, found.high, found.half) == (2.0, 2.0, 2.0, 0.0)


def test_the_interval_is_students_for_values_that_do_not_resemble_each_other() -> None:
    # Nearly level: of times and values the products add up to -1, of times the squares to 17.5; neighbours are unlike.
    found = trend([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], [1.0, -1.0, -1.0, 1.0, 1.0, -1.0])
    assert found is not None
    assert found.slope == pytest.approx(-1 / 17.5)
    squares = 6 - 1 / 17.5
    half = 2.776445 * math.sqrt(squares / 4 / 17.5)  # t with 4 degrees of freedom
    assert found.half == pytest.approx(half, rel=1e-6)
    assert found.low is not None
    assert found.low == pytest.approx(found.slope - half, rel=1e-6)


def test_values_that_resemble_their_neighbours_count_for_fewer() -> None:
    times = [float(number) for number in range(12)]
    alternating = trend(times, [1.0, -1.0] * 6)
    in_waves = trend(times, [1.0, 1.0, 1.0, -1.0, -1.0, -1.0] * 2)
    assert alternating is not None
    assert in_waves is not None
    assert in_waves.half > 1.5 * alternating.half


def test_two_long_steps_are_too_few_independent_values_for_an_interval() -> None:
    found = trend([float(number) for number in range(16)], [0.0] * 4 + [5.0] * 8 + [0.0] * 4)
    assert found is not None
    assert found.low is None
    assert found.high is None
    assert found.half == math.inf


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_values_have_no_trend(count: int) -> None:
    assert trend([float(number) for number in range(count)], [1.0] * count) is None


def test_values_of_one_instant_have_no_trend() -> None:
    assert trend([3.0] * 8, [1.0] * 8) is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=6, max_size=40), st.floats(-1e3, 1e3), st.floats(-1e6, 1e6))
def test_a_line_that_is_added_is_added_to_the_slope(values: list[float], slope: float, level: float) -> None:
    times = [float(number) for number in range(len(values))]
    plain = trend(times, values)
    tilted = trend(times, [value + level + slope * at for at, value in zip(times, values, strict=True)])
    assert plain is not None
    assert tilted is not None
    scale = max(1.0, *map(abs, values))
    assert tilted.slope == pytest.approx(plain.slope + slope, abs=1e-6 * scale + 1e-3)


def test_what_levels_differ_by_counts_for_nothing() -> None:
    # 2 an hour on each of three levels, and 100 and 50 more from the fourth and the eighth value on.
    times = [float(number) for number in range(12)]
    values = [2 * at + (100 if at >= 3 else 0) + (50 if at >= 7 else 0) for at in times]
    found = trend(times, values, {3, 7})
    assert found is not None
    assert (found.slope, found.half) == (pytest.approx(2.0), pytest.approx(0.0))


def test_each_level_costs_a_degree_of_freedom() -> None:
    # Of times around the means of two levels the squares add up to 2 x 17.5, of values to 12; the products to -1 + 1.
    times = [float(number) for number in range(12)]
    values = [1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0]
    found = trend(times, values, [6])
    assert found is not None
    assert found.slope == pytest.approx(0.0)
    assert found.half == pytest.approx(2.262157 * math.sqrt(12 / 9 / 35), rel=1e-6)  # t with 12 - 2 - 1 degrees


def test_levels_of_one_value_each_have_no_trend() -> None:
    assert trend([float(number) for number in range(8)], [1.0] * 8, range(1, 8)) is None


def alike(rho: float) -> NDArray[np.float64]:
    """Return rows of noise of which each value resembles the one before it so much."""
    draw = np.random.default_rng(7)
    noise = draw.standard_normal((2_000, POINTS))
    for place in range(1, POINTS):
        noise[:, place] = rho * noise[:, place - 1] + math.sqrt(1 - rho * rho) * noise[:, place]
    return noise


@pytest.mark.parametrize(("rho", "least"), [(0.0, 0.94), (0.3, 0.90), (0.6, 0.86)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(rho: float, least: float) -> None:
    times = np.arange(float(POINTS))
    found = [trend(times.tolist(), (3 * times + row).tolist()) for row in alike(rho)]
    held = [each for each in found if each is not None and abs(each.slope - 3) <= each.half]
    assert len(held) / len(found) >= least


def test_a_block_has_the_median_of_what_was_seen_in_it_and_an_empty_one_is_left_out() -> None:
    times = np.array([-1.0, 0.0, 1.0, 1.5, 9.0, 10.0, 10.5])
    values = np.array([50.0, 1.0, 5.0, 2.0, 7.0, 9.0, 60.0])
    assert in_blocks(times, values, np.linspace(0.0, 10.0, 6)) == {1.0: 2.0, 9.0: 8.0}
