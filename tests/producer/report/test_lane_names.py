"""What sets lanes apart is said, whether it was asked for or is what an interpreter of its own brought along."""

from nouns import facts_of

from producer.plan.lanes import parse_lanes
from producer.report.lane_names import lane_name, versions_that_differ

LANES = parse_lanes(["threads:4", "threads:4:python=/opt/old/bin/python3.11:events=on"])


def nodes(*versions):
    """Lanes with a node that says of itself what is given."""
    return [facts_of(lane, hello=hello) for lane, hello in zip(LANES, versions, strict=True)]


def test_a_lane_is_named_with_all_that_was_asked_of_it():
    assert lane_name(LANES[0]) == "threads (4 slots, prefetch 4, acks early)"
    assert lane_name(LANES[1]) == "threads-2 (4 slots, prefetch 4, acks early, python3.11, events on)"


def test_versions_are_named_only_where_they_differ():
    new, old = {"python": "3.11.7", "celery": "5.7.0", "kombu": "5.7.0"}, {"celery": "5.4.0", "kombu": "5.4.2"}
    assert versions_that_differ(nodes(new, {**new, **old})) == [
        "celery: threads 5.7.0, threads-2 5.4.0.",
        "kombu: threads 5.7.0, threads-2 5.4.2.",
    ]
    assert versions_that_differ(nodes(new, new)) == []


def test_a_lane_whose_node_never_came_up_differs_in_nothing():
    assert versions_that_differ(nodes({"python": "3.11.7"}, None)) == []
