"""In how few jumps something grew: by hand, of any jumps, and of what has none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.analysis.jumps import FEW, jumps_in, times_as_long

POINTS = 24
TIMES = [float(number) for number in range(POINTS)]


def stairs(*jumps: tuple[int, float], slope: float = 0.0) -> list[float]:
    """Return values that grow along a line and, from some places on, by so much more."""
    return [slope * at + sum(by for place, by in jumps if at >= place) for at in TIMES]


def test_two_jumps_are_told_by_their_places_and_sizes() -> None:
    found = jumps_in(TIMES, stairs((7, 1.83), (16, 1.83)))
    assert found == {7: pytest.approx(1.83), 16: pytest.approx(1.83)}


@given(
    st.lists(st.integers(1, 7).map(lambda third: 3 * third), min_size=1, max_size=FEW, unique=True),
    st.floats(1.0, 100.0),
    st.floats(-0.05, 0.05),
    st.floats(-1e6, 1e6),
)
def test_a_few_jumps_on_any_line_are_found(places: list[int], by: float, slope: float, level: float) -> None:
    values = [level + value for value in stairs(*((place, by) for place in places), slope=slope)]
    assert jumps_in(TIMES, values) == {place: pytest.approx(by, rel=1e-3) for place in sorted(places)}


@given(st.lists(st.floats(-100, 100), min_size=POINTS, max_size=POINTS), st.integers(-3, 3), st.integers(-5, 5))
def test_neither_the_unit_nor_the_level_matters(values: list[float], power: int, level: int) -> None:
    values = [round(value, 3) for value in values]
    scaled = [2.0**power * (value + 128 * level) for value in values]
    assert jumps_in(TIMES, scaled).keys() == jumps_in(TIMES, values).keys()


@given(st.floats(-1e3, 1e3), st.floats(-1e6, 1e6))
def test_a_line_has_none(slope: float, level: float) -> None:
    assert jumps_in(TIMES, [level + slope * at for at in TIMES]) == {}


@pytest.mark.parametrize("count", [5, 6, 8, 12])
def test_chunks_that_come_often_are_a_line(count: int) -> None:
    assert jumps_in(TIMES, [math.floor(at * count / POINTS) for at in TIMES]) == {}


def test_a_step_down_is_no_growth() -> None:
    assert jumps_in(TIMES, stairs((10, -5.0))) == {}


def test_what_takes_long_to_rise_is_no_jump() -> None:
    assert jumps_in(TIMES, [min(max(at - 8, 0.0), 6.0) for at in TIMES]) == {}


def test_noise_that_resembles_itself_hardly_ever_has_any() -> None:
    draw = np.random.default_rng(3)
    noise = draw.standard_normal((100, POINTS))
    for place in range(1, POINTS):
        noise[:, place] = 0.6 * noise[:, place - 1] + 0.8 * noise[:, place]
    assert [row for row in noise if jumps_in(TIMES, row.tolist())] == []


def test_jumps_as_large_as_noise_are_not_told_from_it() -> None:
    draw = np.random.default_rng(3)
    noise = draw.standard_normal(POINTS)
    assert jumps_in(TIMES, (noise + stairs((8, 2.0))).tolist()) == {}
    assert list(jumps_in(TIMES, (noise + stairs((8, 100.0))).tolist())) == [8]


@pytest.mark.parametrize("count", [0, 5, 11])
def test_few_values_have_none(count: int) -> None:
    assert jumps_in(TIMES[:count], [0.0, *[9.0] * count][:count]) == {}


@pytest.mark.parametrize(("count", "times"), [(1, 6.68), (2, 3.34), (3, 2.23)])
def test_more_than_a_few_are_likely_once_so_many_are_expected(count: int, times: float) -> None:
    assert times_as_long(count) == pytest.approx(times, abs=0.01)
    expected = count * times_as_long(count)
    at_most_few = sum(math.exp(-expected) * expected**n / math.factorial(n) for n in range(FEW + 1))
    assert at_most_few == pytest.approx(0.1)
