"""What a sweep varies: words become values, and values become lanes of their own."""

import pytest

from producer.errors import UsageError
from producer.lanes import parse_lanes
from producer.sweep.points import parse_axis

LANES = parse_lanes(["prefork", "threads"], slots=8, prefetch=4, acks="early")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("concurrency=1,2,64", (1, 2, 64)),
        ("prefetch=1, 4", (1, 4)),
        ("acks=early,late", ("early", "late")),
        ("cpu-share=0,0.5", (0.0, 0.5)),
        ("cpu-share=0..1", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("cpu-share=0.1..0.5", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("payload=0,4KiB", (0, 4096)),
    ],
)
def test_words_become_values(text, values):
    assert parse_axis(text).values == pytest.approx(values) if "share" in text else parse_axis(text).values == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("concurency=1,2", "did you mean concurrency?"),
        ("concurrency", "unknown"),
        ("concurrency=1", "give 2 to 20 values"),
        ("concurrency=4,4", "each once"),
        ("concurrency=0,4", "whole number from 1"),
        ("concurrency=1..8", "only cpu-share has a range"),
        ("acks=soon,late", "allowed are early and late"),
        ("cpu-share=0,2", "must be a number from 0 to 1"),
        ("payload=4,big", "must be a size"),
    ],
)
def test_what_cannot_be_varied_is_refused_with_what_can(text, said):
    with pytest.raises(UsageError, match="--over") as refused:
        parse_axis(text)
    assert said in str(refused.value)


def test_each_value_of_a_lane_has_lanes_of_its_own_that_differ_in_nothing_else():
    axis = parse_axis("concurrency=1,16")
    found = axis.lanes(16, LANES)
    assert [(lane.key, lane.pool, lane.slots) for lane in found] == [
        ("prefork-c16", "prefork", 16),
        ("threads-c16", "threads", 16),
    ]
    assert {(lane.prefetch, lane.acks) for lane in found} == {(4, "early")}
    assert axis.of_lanes


def test_what_is_of_the_jobs_leaves_the_lanes_alone():
    axis = parse_axis("payload=0,4KiB")
    assert axis.lanes(4096, LANES) == list(LANES)
    assert not axis.of_lanes
