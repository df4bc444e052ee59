"""What a sweep varies: words become values, and values become lanes of their own."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from producer.errors import UsageError
from producer.plan.axis import parse_axis
from producer.plan.lanes import parse_lanes

LANES = parse_lanes(["prefork", "threads"], concurrency=8, prefetch=4, acks="early")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("concurrency=1,2,64", (1, 2, 64)),
        ("prefetch=1, 4", (1, 4)),
        ("acks=early,late", ("early", "late")),
        ("transport=stock,atomic", ("stock", "atomic")),
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
        ("acks=soon,late", "must be early or late"),
        ("transport=stock,redis", "'redis': must be stock or atomic"),
        ("cpu-share=0,2", "must be a number from 0 to 1"),
        ("payload=4,big", "must be a size"),
        ("payload=0,65MiB", "from 0 to 64 MiB"),
        ("payload=0..4KiB", "only cpu-share has a range"),
        ("prefetch=0,1", "whole number from 1 to 1000"),
        ("concurrency=1,1025", "whole number from 1 to 1024"),
        ("concurrency=1,two", "'two': must be a whole number"),
        ("concurrency=", "'': must be a whole number"),
        ("concurrency=1,,2", "'': must be a whole number"),
        ("acks=late", "give 2 to 20 values"),
        ("payload=1KiB,1024", "each once"),
        ("cpu-share=0.5..0.5", "each once"),
        ("cpu-share=0..2", "must be a number from 0 to 1, e.g. 0.25"),
        ("cpu-share=..", "'': must be a number from 0 to 1"),
        ("cpu-share=0,nan", "'nan': must be a number from 0 to 1"),
        ("lanes=1,2", "Allowed: concurrency, nodes, prefetch, acks, transport"),
        ("=1,2", "unknown ''"),
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


def test_more_nodes_have_the_same_slots_each():
    found = parse_axis("nodes=1,3").lanes(3, LANES)
    assert [(lane.key, lane.nodes, lane.slots, lane.concurrency) for lane in found] == [
        ("prefork-n3", 3, 3 * LANES[0].slots, LANES[0].slots), ("threads-n3", 3, 3 * LANES[1].slots, LANES[1].slots),
    ]  # fmt: skip


def test_what_is_of_the_jobs_leaves_the_lanes_alone():
    axis = parse_axis("payload=0,4KiB")
    assert axis.lanes(4096, LANES) == list(LANES)
    assert not axis.of_lanes


@pytest.mark.parametrize("values", [1, 2, 20, 21])
def test_two_to_twenty_values_may_be_named(values):
    text = "concurrency=" + ",".join(map(str, range(1, values + 1)))
    if 2 <= values <= 20:
        assert len(parse_axis(text).values) == values
    else:
        with pytest.raises(UsageError, match="give 2 to 20 values, each once"):
            parse_axis(text)


def test_values_keep_the_order_in_which_they_were_given_and_the_way_they_were_written():
    axis = parse_axis("payload=64KiB, 0 ,1.5KiB")
    assert (axis.name, axis.texts, axis.values) == ("payload", ("64KiB", "0", "1.5KiB"), (65_536, 0, 1536))
    assert parse_axis("cpu-share=1..0").texts == ("1", "0.75", "0.5", "0.25", "0")


@pytest.mark.parametrize(
    ("text", "value", "keys", "changed"),
    [
        ("prefetch=1,16", 16, ["prefork-p16", "threads-p16"], (8, 16, "early")),
        ("acks=early,late", "late", ["prefork-alate", "threads-alate"], (8, 4, "late")),
        ("transport=stock,atomic", "stock", ["prefork-tstock", "threads-tstock"], (8, 4, "early")),
        ("concurrency=2,3", 3, ["prefork-c3", "threads-c3"], (3, 4, "early")),
    ],
)
def test_what_is_varied_is_the_field_of_its_name(text, value, keys, changed):
    found = parse_axis(text).lanes(value, LANES)
    assert [lane.key for lane in found] == keys
    assert {(lane.slots, lane.prefetch, lane.acks) for lane in found} == {changed}
    assert [lane.python for lane in found] == [lane.python for lane in LANES]


def test_the_transport_is_varied_on_every_lane():
    axis = parse_axis("transport=stock,atomic")
    assert [lane.transport for value in axis.values for lane in axis.lanes(value, LANES)] == [
        "stock", "stock", "atomic", "atomic",
    ]  # fmt: skip


def test_no_two_lanes_of_a_sweep_share_a_key_even_of_one_pool():
    lanes = parse_lanes(["threads", "threads", "prefork"], concurrency=8, prefetch=4, acks="early")
    axis = parse_axis("concurrency=1,2,11,12,21")
    keys = [lane.key for value in axis.values for lane in axis.lanes(value, lanes)]
    assert len(set(keys)) == len(keys) == 15


@given(st.floats(0, 1, width=16), st.floats(0, 1, width=16))
def test_a_range_has_five_even_steps_from_end_to_end(low, high):
    assume(abs(high - low) > 0.01)
    values = parse_axis(f"cpu-share={low}..{high}").values
    assert values == pytest.approx([low + (high - low) * part for part in (0, 0.25, 0.5, 0.75, 1)], abs=1e-5)
