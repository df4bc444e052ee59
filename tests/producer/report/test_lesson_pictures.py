"""Pictures of lessons: the same in characters and as SVG."""

from __future__ import annotations

import pytest

from producer.lessons.lesson import Estimate, Span
from producer.lessons.picture import Bars, Lines, Timeline
from producer.report.lesson_pictures import as_svg, estimate_of, in_characters, value_of


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.425, "%", "42.5 %"),
        (1, "%", "100 %"),
        (2.5, "s", "2.50 s"),
        (0.0019, "s", "1.90 ms"),
        (7.7e-05, "s", "77 µs"),
        (1.94, "cores", "1.94 cores"),
        (3, "", "3"),
    ],
)
def test_a_value_has_the_unit_that_fits_it(value: float, unit: str, text: str) -> None:
    assert value_of(value, unit) == text


def test_an_interval_has_the_unit_of_its_value() -> None:
    assert estimate_of(Estimate(0.0019, 0.0009, 0.0021, 8), "s") == "1.90 [0.9, 2.10] ms"
    assert estimate_of(Estimate(0.5, 0.4, 0.6, 8), "%") == "50 [40, 60] %"
    assert estimate_of(Estimate(0.5, None, None, 1), "%") == "50 %"


BARS = Bars(
    title="Cores", rows={"one": Estimate(1, 0.9, 1.1, 8), "two & more": Estimate(2, 1.9, 2, 8)}, unit="cores", full=2
)


def test_a_bar_is_as_long_as_its_part_of_the_full_one() -> None:
    one, two = in_characters(BARS)
    assert one.count("█") == 20
    assert two.count("█") == 40
    assert one.startswith("one         █")
    assert two.endswith("2 cores")


def test_bars_of_nothing_are_empty() -> None:
    (line,) = in_characters(Bars(title="Lost", rows={"lost": Estimate(0, 0, 0, 8)}, unit="%"))
    assert "█" not in line
    assert line.endswith("0 %")


def test_a_time_line_shows_each_stretch_in_its_row_and_place() -> None:
    spans = [
        Span(row="thread 1", begin_s=0, end_s=0.5, kind="inside"),
        Span(row="thread 2", begin_s=0.5, end_s=1, kind="inside"),
        Span(row="thread 1", begin_s=0.5, end_s=1, kind="outside"),
    ]
    first, second, axis, key = in_characters(Timeline(title="Lock", spans=spans))
    assert first == "thread 1  " + 36 * "█" + 36 * "░"
    assert second == "thread 2  " + 36 * " " + 36 * "█"
    assert axis.endswith("1 s")
    assert key.split() == ["█", "inside", "░", "outside"]


def test_lines_are_shown_as_they_are() -> None:
    assert in_characters(Lines(title="Output", lines=["a", "b"])) == ["a", "b"]


def test_what_a_picture_says_is_escaped_on_a_page() -> None:
    assert "two &amp; more" in as_svg(BARS)
    assert "&lt;b&gt;" in as_svg(Lines(title="Output", lines=["<b>"]))


def test_an_svg_draws_a_bar_and_an_interval_for_each_row() -> None:
    assert as_svg(BARS).count("<rect") == 2
    assert as_svg(BARS).count("<path") == 2
