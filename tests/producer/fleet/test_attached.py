"""Nodes that run already become lanes: one a pool, or one a queue that was named."""

from itertools import pairwise

import pytest

from producer.errors import FleetError
from producer.fleet.attached import AttachedFleet, by_queue, group
from producer.rundir.events import EventLog


def hello(pool, *queues, slots=8, prefetch=4, acks="early", **more):
    told = {"pool": pool, "queues": list(queues), "concurrency": slots, "prefetch_multiplier": prefetch, "acks": acks}
    return told | more


def limited(cpus, memory_bytes=None):
    return hello("threads", "q", limits={"cpu_quota": cpus, "memory_bytes": memory_bytes})


HELLOS = {
    "prefork@a": hello("prefork", "prefork"),
    "threads@a": hello("threads", "threads", "mails"),
    "threads@b": hello("threads", "threads", slots=16),
}


def lanes(found):
    return [(each.lane.key, each.lane.pool, each.lane.slots, each.queue, each.nodes) for each in found]


def test_nodes_of_a_pool_are_a_lane_with_the_slots_of_all_of_them():
    assert lanes(group(HELLOS)) == [
        ("prefork", "prefork", 8, "prefork", ("prefork@a",)),
        ("threads", "threads", 24, "threads", ("threads@a", "threads@b")),
    ]


def test_flags_of_a_lane_are_those_of_one_of_its_nodes():
    same = {**HELLOS, "threads@b": hello("threads", "threads")}
    prefork, threads = (found.lane for found in group(same))
    assert (prefork.nodes, threads.nodes, threads.slots, threads.concurrency) == (1, 2, 16, 8)
    assert threads.worker_flags()[:4] == ["-P", "threads", "-c", "8"]


def test_a_queue_that_is_named_is_a_lane_of_the_nodes_that_consume_it():
    assert lanes(by_queue(HELLOS, ["mails", "threads"])) == [
        ("mails", "threads", 8, "mails", ("threads@a",)),
        ("threads", "threads", 24, "threads", ("threads@a", "threads@b")),
    ]


def test_a_lane_has_the_transport_that_its_nodes_tell_and_kombus_if_they_are_too_old_to_tell():
    hellos = {"a": hello("threads", "new", transport="atomic"), "b": hello("threads", "old")}
    assert [found.lane.transport for found in by_queue(hellos, ["new", "old"])] == ["atomic", "stock"]


def test_a_lane_has_the_further_settings_that_its_nodes_tell():
    hellos = {
        "prefork@a": hello("prefork", "prefork", start_method="spawn", autoscale=[8, 2]),
        "threads@a": hello("threads", "threads", start_method="fork", autoscale=[]),
    }
    prefork, threads = (found.lane for found in group(hellos))
    assert (dict(prefork.settings), dict(threads.settings)) == ({"start": "spawn", "autoscale": "2"}, {})
    assert ("--autoscale", "8,2") in pairwise(prefork.worker_flags())
    assert prefork.label == "prefork (8 slots, start spawn, autoscale 2)"


def test_a_lane_has_the_cpu_limit_that_its_nodes_find_on_themselves():
    (found,) = by_queue({"a": limited(0.5), "b": limited(0.5)}, ["q"])
    assert found.lane.label == "q (2 nodes, 16 slots, cpus 0.5)"


def test_of_events_and_results_only_what_differs_between_lanes_is_told():
    told = {"events": True, "results": "on"}
    hellos = {
        "prefork@a": hello("prefork", "prefork", **told),
        "threads@a": hello("threads", "threads", **told | {"events": False}),
    }
    assert [dict(found.lane.settings) for found in group(hellos)] == [{"events": "on"}, {"events": "off"}]
    hellos["threads@a"]["events"] = True
    assert [dict(found.lane.settings) for found in by_queue(hellos, ["prefork", "threads"])] == [{}, {}]


def test_a_queue_that_nobody_consumes_is_told_with_those_that_somebody_does():
    with pytest.raises(FleetError, match=r"no node consumes mail\. Those that are consumed: mails, prefork, threads"):
        by_queue(HELLOS, ["mail"])


@pytest.mark.parametrize(
    ("hellos", "said"),
    [
        ({"a": hello("prefork", "q"), "b": hello("threads", "q")}, "nodes of several pools consume it: a, b"),
        (
            {"a": hello("threads", "q"), "b": hello("threads", "q", acks="late"), "c": hello("threads", "q")},
            r"The threads nodes a, b, c are not one lane, since they differ in acks: early on a and c, late on b\.",
        ),
        (
            {"a": hello("threads", "q", transport="atomic"), "b": hello("threads", "q")},
            "differ in transport: atomic on a, stock on b. Start them alike, or give those that differ a queue",
        ),
        (
            {"a": hello("prefork", "q", events=True), "b": hello("prefork", "q", events=False)},
            "differ in events: True on a, False on b",
        ),
        (
            {"a": hello("prefork", "q", start_method="spawn"), "b": hello("prefork", "q")},
            "differ in start method: spawn on a, fork on b",
        ),
        (
            {"a": hello("prefork", "q", celery="5.7.0"), "b": hello("prefork", "q", celery="5.6.3", python="3.12.1")},
            "differ in python: none on a, 3.12.1 on b; celery: 5.7.0 on a, 5.6.3 on b",
        ),
        (
            {"a": limited(0.5), "b": limited(1.0), "c": limited(None)},
            "differ in cpus: 0.5 on a, 1.0 on b, none on c",
        ),
        ({"a": limited(0.5), "b": limited(0.5, 2**29)}, "memory limit in bytes: none on a, 536870912 on b"),
    ],
)
def test_nodes_that_are_no_one_lane_are_refused(hellos, said):
    with pytest.raises(FleetError, match=said):
        by_queue(hellos, ["q"])


def test_nodes_of_one_pool_alone_are_no_race():
    with pytest.raises(FleetError, match="All nodes run the threads pool"):
        group({"threads@a": HELLOS["threads@a"]})


@pytest.fixture
def watched():
    """A fleet of one node with process 7, and what it noted."""
    events = []
    fleet = AttachedFleet("00" * 8, broker_url="memory://", expect_nodes=None, events=EventLog(events.append))
    fleet._hellos = {"threads@a": {**HELLOS["threads@a"], "pid": 7}}
    return fleet, events


def hear(watched, *pids):
    """What it notes where the node answers as these processes, one question after the other; None for no answer."""
    fleet, events = watched
    for pid in pids:
        fleet._note_answer("threads@a", "threads", None if pid is None else {**HELLOS["threads@a"], "pid": pid})
    return [(event.lane, event.text) for event in events]


def test_a_node_that_answers_is_no_event(watched):
    assert hear(watched, 7, 7) == []


def test_a_node_that_misses_a_question_is_silent_and_then_there_again(watched):
    assert hear(watched, 7, None, 7, 7) == [
        ("threads", "node silent: threads@a, no answer in 2 s"),
        ("threads", "node answers again: threads@a"),
    ]


def test_a_node_that_misses_three_is_lost(watched):
    assert hear(watched, None, None, None)[-1] == ("threads", "node lost: threads@a, no answer to 3 questions")


def test_a_node_that_was_away_for_two_is_not_lost(watched):
    """It may have been killed and started again."""
    assert "node lost" not in str(hear(watched, None, None, 9))


def test_a_node_that_answers_as_another_process_was_restarted_once(watched):
    assert hear(watched, 7, 9, 9) == [("threads", "node restarted: threads@a, pid 7, now 9")]
