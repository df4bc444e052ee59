"""Lanes of a sweep go by other keys at each of its values; what is drawn is the lane that it varies."""

from sweeps import planned, point, swept, with_plan

from producer.report.charts.swept import key_of, lane_keys, lane_of, last_lanes, slots_vary


def sweep(summary, *measured, axis="concurrency"):
    """A sweep over two values, of which these were measured."""
    points = [planned(value, f"cpu concurrency={value}", **{f"threads-c{value}": "threads"}) for value in ("2", "4")]
    return swept(with_plan(summary, *points), *map(point, measured), axis=axis)


def test_a_lane_of_a_sweep_is_the_one_that_it_varies(sample):
    summary, _ = sample
    assert [lane_of(sweep(summary), key) for key in ("threads-c4", "prefork")] == ["threads", "prefork"]
    assert lane_of(summary, "prefork") == "prefork"


def test_its_key_is_the_one_that_it_has_at_a_value(sample):
    summary, _ = sample
    assert key_of(sweep(summary), "cpu concurrency=4", "threads") == "threads-c4"
    assert key_of(sweep(summary), "cpu", "threads") == "threads"
    assert key_of(summary, "cpu", "threads") == "threads"


def test_its_last_lanes_are_those_of_the_last_value_that_was_measured(sample):
    summary, _ = sample
    assert last_lanes(sweep(summary, "2", "4")) == {"threads-c4"}
    assert last_lanes(sweep(summary, "2")) == {"threads-c2"}
    assert last_lanes(sweep(summary)) is None
    assert last_lanes(summary) is None


def test_slots_vary_with_concurrency_and_nodes_alone(sample):
    summary, _ = sample
    axes = ("concurrency", "nodes", "acks")
    assert [slots_vary(sweep(summary, "2", axis=axis)) for axis in axes] == [True, True, False]
    assert not slots_vary(summary)


def test_keys_of_lanes_are_in_their_order(sample):
    assert lane_keys(sample[0]) == ["prefork", "threads"]
