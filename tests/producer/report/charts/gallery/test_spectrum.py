"""The spectrum tells lanes apart without colour, and calls a lane of a sweep by one name at every value."""

from producer.report.charts.gallery.spectrum import spectrum


def test_lanes_differ_by_their_mark_and_stretches_by_their_dash(sample):
    lines = spectrum(*sample).figure.data
    assert len({(line.marker.symbol, line.line.dash) for line in lines}) == len(lines) == 8


def test_a_lane_of_a_sweep_has_one_look_and_one_place_in_the_legend(sample):
    summary, run = sample
    points = [{"lanes": {"prefork": "pool", "threads": "pool"}}]
    found = spectrum({**summary, "settings": {**summary["settings"], "points": points}}, run)
    sojourns = [line for line in found.figure.data if line.name == "pool: sojourn"]
    assert [line.showlegend for line in sojourns] == [True, False]
    assert len({line.marker.symbol for line in sojourns}) == 1
