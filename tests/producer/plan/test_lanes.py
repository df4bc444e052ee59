"""Lanes come from their specifications, and a wrong one is told with what is right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolrace.pools import POOLS
from poolrace.transport_setting import TRANSPORTS
from producer.errors import UsageError
from producer.plan.lanes import ACKS, MAX_CONCURRENCY, MAX_PREFETCH, Lane, parse_lanes
from producer.plan.units import one_of, whole_number


def lanes(*specs, concurrency=8, prefetch=4, acks="early"):
    return parse_lanes(specs, concurrency=concurrency, prefetch=prefetch, acks=acks)


def test_a_pool_alone_takes_the_rest_from_the_command_line():
    assert lanes("prefork", "threads", concurrency=3, prefetch=2, acks="late") == (
        Lane(key="prefork", pool="prefork", slots=3, prefetch=2, acks="late"),
        Lane(key="threads", pool="threads", slots=3, prefetch=2, acks="late"),
    )


def test_a_specification_says_what_differs():
    assert lanes("prefork:2:prefetch=1", "threads:32:acks=late:python=/path/to/python3.14t") == (
        Lane(key="prefork", pool="prefork", slots=2, prefetch=1),
        Lane(key="threads", pool="threads", slots=32, acks="late", python="/path/to/python3.14t"),
    )


def test_settings_need_no_slots_before_them():
    assert lanes("threads:prefetch=1", "threads")[0] == Lane(key="threads", pool="threads", slots=8, prefetch=1)


def test_lanes_of_the_same_pool_get_keys_of_their_own():
    assert [lane.key for lane in lanes("threads", "prefork", "threads:2", "threads:3")] == [
        "threads",
        "prefork",
        "threads-2",
        "threads-3",
    ]


def test_slots_are_those_of_all_nodes_and_flags_those_of_one():
    several, one = lanes("threads:8:nodes=3", "threads:nodes=1")
    assert (several.slots, several.nodes, several.concurrency) == (24, 3, 8)
    assert several.worker_flags() == ["-P", "threads", "-c", "8", "--prefetch-multiplier", "4"]
    assert several.label == "threads (3 nodes, 24 slots)"
    assert (one.slots, one.concurrency, one.label) == (8, 8, "threads-2 (8 slots)")


@pytest.mark.parametrize("specs", [("prefork:4:nodes=2", "threads:8"), ("prefork:nodes=2", "threads:nodes=2")])
def test_concurrency_is_of_a_node_whether_a_lane_names_it_or_the_command_line(specs):
    assert [lane.slots for lane in lanes(*specs, concurrency=4)] == [8, 8]


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 64))
def test_one_of_nodes_and_slots_changes_while_the_other_stays(nodes, more, slots):
    lane = lanes(f"threads:{slots}:nodes={nodes}", "threads")[0]
    assert (lane.of(nodes=more).nodes, lane.of(nodes=more).concurrency) == (more, slots)
    assert (lane.of(concurrency=more).nodes, lane.of(concurrency=more).concurrency) == (nodes, more)


def test_a_key_tells_the_transport_where_lanes_of_the_pool_differ_in_it_and_a_label_always():
    found = lanes("threads", "threads:transport=atomic", "threads:2:transport=atomic", "prefork:transport=atomic")
    assert [lane.key for lane in found] == ["threads", "threads-atomic", "threads-atomic-2", "prefork"]
    assert [lane.label for lane in found] == [
        "threads (8 slots)",
        "threads-atomic (8 slots, atomic transport)",
        "threads-atomic-2 (2 slots, atomic transport)",
        "prefork (8 slots, atomic transport)",
    ]


def test_a_node_is_started_with_the_flags_that_differ():
    stock, atomic = lanes("prefork:2:prefetch=1", "prefork:2:prefetch=1:transport=atomic")
    same = ["-P", "prefork", "-c", "2", "--prefetch-multiplier", "1"]
    assert stock.worker_flags() == same
    assert atomic.worker_flags() == [*same, "broker_transport=poolrace.transport:Transport"]


def test_a_lane_from_before_there_were_transports_is_stock():
    known = lanes("threads", "prefork")[0].to_dict()
    del known["transport"]
    assert Lane.from_dict(known).transport == "stock"


@given(
    st.sampled_from([name for name, pool in POOLS.items() if not pool.has_one_slot]),
    st.integers(1, MAX_CONCURRENCY),
    st.integers(1, MAX_PREFETCH),
    st.sampled_from(ACKS),
    st.from_regex(r"/[\w/.+-]{0,20}", fullmatch=True),
    st.sampled_from(TRANSPORTS),
)
def test_what_a_lane_is_can_be_written_and_read(pool, slots, prefetch, acks, python, transport):
    spec = f"{pool}:{slots}:prefetch={prefetch}:acks={acks}:python={python}:transport={transport}"
    lane = lanes(spec, f"threads:transport={transport}")[0]
    assert lane == Lane(
        key=pool, pool=pool, slots=slots, prefetch=prefetch, acks=acks, python=python, transport=transport
    )
    assert Lane.from_dict(lane.to_dict()) == lane


@pytest.mark.parametrize("specs", [[], ["threads:8"]])
def test_one_lane_is_no_race(specs):
    with pytest.raises(UsageError, match=f"a race needs at least two lanes and got {len(specs)}. Name another"):
        lanes(*specs)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("thread", r"unknown pool 'thread'. Allowed: prefork, threads, solo, gevent \(did you mean threads\?\); e.g."),
        ("", "unknown pool ''. Allowed: prefork, threads, solo, gevent; e.g."),
        ("Threads", "unknown pool 'Threads'"),
        ("eventlet:8", "eventlet is not raced: it patches .* Allowed: prefork, threads, solo, gevent"),
        ("solo:4", "solo runs one job at a time, .* For 4 slots take 4 nodes: solo:nodes=4"),
        ("threads:0", "--lane 'threads:0': concurrency '0': must be a whole number from 1 to 1024, e.g. 8"),
        ("threads:-1", "concurrency '-1': must be a whole number"),
        ("threads:many", "concurrency 'many': must be a whole number"),
        ("threads:1025", "concurrency '1025': must be a whole number from 1 to 1024"),
        ("threads:8.0", "concurrency '8.0': must be a whole number"),
        ("threads:", "concurrency '': must be a whole number"),
        ("threads:8:9", "'9' is not KEY=VALUE"),
        ("threads:8:prefetch", "'prefetch' is not KEY=VALUE"),
        ("threads:8:prefetch=", "'prefetch=' is not KEY=VALUE"),
        ("threads:8:prefetch=0", "prefetch '0': must be a whole number from 1 to 1000"),
        ("threads:8:nodes=0", "nodes '0': must be a whole number from 1 to 64"),
        ("threads:8:acks=never", "acks 'never': must be early or late"),
        ("threads:8:transport=redis", "transport 'redis': must be stock or atomic"),
        (
            "threads:8:prefech=1",
            r"unknown setting 'prefech'. Allowed: prefetch, acks, nodes, python, transport, .* \(did you mean prefetch",
        ),
        ("threads:8:=1", "unknown setting ''"),
    ],
)
def test_a_wrong_specification_is_told_with_what_is_right(spec, message):
    with pytest.raises(UsageError, match=message):
        lanes("prefork", spec)


def test_a_node_of_the_solo_pool_has_one_slot_whatever_the_others_have():
    (solo, nodes), threads = lanes("solo", "solo:nodes=3", "threads")[:2], lanes("threads", "prefork")[0]
    assert (solo.slots, nodes.slots, nodes.concurrency) == (1, 3, 1)
    assert threads.slots > 1
    assert solo.worker_flags()[:4] == ["-P", "solo", "-c", "1"]


@given(st.text())
def test_whatever_is_written_is_a_lane_or_a_usage_error(spec):
    try:
        pool = lanes(spec, "threads")[0].pool
    except UsageError:
        return
    assert pool in POOLS


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e3", "0", "11", "-3", "0x5"])
def test_a_number_out_of_bounds_is_told_with_name_value_and_bounds(text):
    with pytest.raises(UsageError, match=f"--pairs '{text}': must be a whole number from 1 to 10, e.g. 8"):
        whole_number(text, "--pairs", 1, 10)


def test_both_bounds_are_allowed():
    assert (whole_number("1", "--pairs", 1, 10), whole_number("10", "--pairs", 1, 10)) == (1, 10)


def test_the_nearest_word_is_named_only_if_there_is_one():
    assert one_of("prefrok", ("prefork", "threads")) == "prefork, threads (did you mean prefork?)"
    assert one_of("zebra", ("prefork", "threads")) == "prefork, threads"
