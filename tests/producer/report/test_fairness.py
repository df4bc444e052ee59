"""A reader is told which node holds jobs while another is free, and what cures it."""

from types import SimpleNamespace

from producer.analysis.fairness import Fairness, HostShare, NodeShare
from producer.plan.lanes import parse_lane
from producer.report.fairness import by_host, by_node, hoarding


def a_node(name, hoarded_s):
    return NodeShare(
        node=f"threads@{name}", host=name, slots=2, jobs=40, busy_share=0.5, queue_wait_s=0.25, hoarded_s=hoarded_s
    )


HOARDING = Fairness(
    nodes=(a_node("a", 1.0), a_node("b", 9.0)), hoarded_s=10.0, hoarded_share=0.4, jobs_held=17, longest_s=4.0
)
FAIR = Fairness(
    nodes=(a_node("a", 0.0), a_node("b", 0.0)), hoarded_s=0.0, hoarded_share=0.0, jobs_held=0, longest_s=None
)


def told(spec, found):
    lane = parse_lane(spec, concurrency=2, prefetch=4, acks="early")
    load = SimpleNamespace(lanes=[SimpleNamespace(lane=lane.key, fairness=found)])
    return hoarding(SimpleNamespace(lanes=[lane]), load).lines


def test_the_node_the_long_job_and_the_cure_are_named():
    what, cure, again = told("threads:2:nodes=2", HOARDING)
    assert what == (
        "threads: 17 jobs waited on a node while another was free, beside a job of 4 s: 40% of all queue wait, most on "
        "threads@b."
    )
    assert "takes 4 jobs a slot ahead" in cure
    assert "--prefetch-multiplier 1 and task_acks_late" in cure
    assert again.endswith("--lane threads:2:nodes=2 --lane threads:2:nodes=2:prefetch=1:acks=late")


def test_a_lane_has_only_the_part_of_the_cure_that_it_lacks():
    assert told("threads:2:nodes=2:acks=late", HOARDING)[-1].endswith("--lane threads:2:nodes=2:prefetch=1")
    assert told("threads:2:nodes=2:prefetch=1", HOARDING)[-1].endswith("--lane threads:2:nodes=2:acks=late")
    assert len(told("threads:2:nodes=2:prefetch=1:acks=late", HOARDING)) == 1


def test_nothing_is_said_of_lanes_that_do_not_hoard():
    assert told("threads:2:nodes=2", FAIR) == []
    assert told("threads:2", None) == []


def test_each_node_has_a_row():
    lanes = [SimpleNamespace(lane="threads", fairness=HOARDING), SimpleNamespace(lane="prefork", fairness=None)]
    table = by_node(SimpleNamespace(lanes=lanes))
    assert [row[1] for row in table.rows] == ["threads@a", "threads@b"]
    assert table.rows[1] == ["threads", "threads@b", "2", "40", "50%", "250", "9.00"]


def test_each_host_has_a_row_where_hosts_are_told():
    host = HostShare(host="a", nodes=2, slots=4, jobs=80, busy_share=0.5, queue_wait_s=0.25, hoarded_s=10.0)
    found = Fairness(nodes=(), hosts=(host,), hoarded_s=10.0, hoarded_share=0.4, jobs_held=17, longest_s=4.0)
    lanes = [SimpleNamespace(lane="threads", fairness=found), SimpleNamespace(lane="prefork", fairness=FAIR)]
    assert by_host(SimpleNamespace(lanes=lanes)).rows == [["threads", "a", "2", "4", "80", "50%", "250", "10.0"]]
