"""Numbers as readers see them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.report.formats import count, gibibytes, instant, mebibytes, milliseconds, number, ratio


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"), (0, "0"), (0.0, "0"), (1, "1.00"), (85.12, "85.1"), (999.4, "999"), (999.6, "1,000"),
        (9.996, "10.0"), (1630.4, "1,630"), (1_234_567.8, "1,234,568"), (0.0421, "0.0421"), (0.5, "0.5"),
        (-3.21987, "-3.22"), (-0.04, "-0.04"),
    ],
)  # fmt: skip
def test_a_number_has_three_significant_digits(value, shown):
    assert number(value) == shown


@given(st.floats(1e-3, 1e9))
def test_what_is_shown_is_within_half_a_percent(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.005)


@pytest.mark.parametrize(("value", "shown"), [(None, "-"), (0, "0"), (160, "160"), (12345, "12,345")])
def test_a_count_is_whole(value, shown):
    assert count(value) == shown


@pytest.mark.parametrize(("value_s", "shown"), [(None, "-"), (0.0561, "56.1"), (1.5, "1,500"), (0.0000123, "0.0123")])
def test_seconds_are_shown_as_milliseconds(value_s, shown):
    assert milliseconds(value_s) == shown


def test_bytes_are_shown_as_mib_and_gib():
    assert mebibytes(45.6 * 2**20) == "45.6 MiB"
    assert gibibytes(23.5 * 2**30) == "23.5 GiB"
    assert mebibytes(None) == gibibytes(None) == "-"


def test_a_ratio_has_its_interval_if_there_is_one():
    assert ratio(1.8, 1.704, 1.899) == "1.80  [1.70, 1.90]"
    assert ratio(1.8, None, None) == "1.80"
    assert ratio(None, None, None) == "-"


def test_an_instant_is_told_in_universal_time():
    assert instant(1_700_000_000.9) == "2023-11-14 22:13 UTC"
    assert instant(None) == "-"
