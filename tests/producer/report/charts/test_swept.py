"""Lanes of a sweep go by other keys at each of its values; what is drawn is the lane that it varies."""

from producer.report.charts.swept import key_of, lane_of, last_lanes, slots_vary

POINTS = [
    {"value": "2", "workload": "cpu concurrency=2", "lanes": {"threads-c2": "threads"}},
    {"value": "4", "workload": "cpu concurrency=4", "lanes": {"threads-c4": "threads"}},
]


def sweep(*measured, axis="concurrency"):
    """A sweep over two values, of which these were measured."""
    return {"settings": {"points": POINTS}, "sweep": {"axis": axis, "points": [{"value": value} for value in measured]}}


def test_a_lane_of_a_sweep_is_the_one_that_it_varies():
    summary = {"settings": {"points": [{"lanes": {"threads-c2": "threads"}}, {"lanes": {"threads-c4": "threads"}}]}}
    assert [lane_of(summary, key) for key in ("threads-c4", "prefork")] == ["threads", "prefork"]
    assert lane_of({"settings": {}}, "prefork") == "prefork"


def test_its_key_is_the_one_that_it_has_at_a_value():
    assert key_of(sweep(), "cpu concurrency=4", "threads") == "threads-c4"
    assert key_of(sweep(), "cpu", "threads") == "threads"


def test_its_last_lanes_are_those_of_the_last_value_that_was_measured():
    assert last_lanes(sweep("2", "4")) == {"threads-c4"}
    assert last_lanes(sweep("2")) == {"threads-c2"}
    assert last_lanes(sweep()) is None
    assert last_lanes({"settings": {}, "sweep": None}) is None


def test_slots_vary_with_concurrency_and_nodes_alone():
    assert [slots_vary(sweep("2", axis=axis)) for axis in ("concurrency", "nodes", "acks")] == [True, True, False]
    assert not slots_vary({"settings": {}, "sweep": None})
