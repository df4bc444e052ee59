"""Lanes differ by more than colour."""

from producer.report.charts.theme import LOOKS, style_of


def test_lanes_differ_in_colour_mark_dash_and_pattern():
    for field in ("colour", "symbol", "dash", "pattern"):
        assert len({getattr(each, field) for each in LOOKS}) == len(LOOKS)


def test_a_lane_looks_the_same_wherever_it_stands_at_its_place():
    assert style_of(["prefork", "threads"], "threads") is LOOKS[1]
    assert style_of([str(n) for n in range(9)], "7") is LOOKS[7 - len(LOOKS)]
