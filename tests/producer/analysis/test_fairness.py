"""Jobs that one node holds while another is free: each case by hand, and what holds of any jobs."""

import json

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs import a_job, a_trial, tables_of

from producer.analysis.fairness import fairness

SLOTS = {"threads@a": 1, "threads@b": 1}


def on(node, due_s=0.0, **job):
    return a_job(due_s, **job, node=f"threads@{node}")


def shared(*jobs, slots=SLOTS):
    return fairness(tables_of(a_trial(), jobs)["records"], slots)


def test_a_short_job_behind_a_long_one_is_held_while_the_other_node_is_free():
    found = shared(on("a", service_s=4.0), on("a", wait_s=4.0, service_s=1.0), on("b", service_s=1.0))
    assert found.hoarded_s == 3.0  # from the end of the job on b to that of the long one on a
    assert found.hoarded_share == 3.0 / 4.0
    assert (found.jobs_held, found.longest_s) == (1, 4.0)
    assert found.hoards
    a, b = found.nodes
    assert (a.node, a.host, a.slots, a.jobs, a.busy_share, a.queue_wait_s, a.hoarded_s) == (
        "threads@a", "a", 1, 2, 1.0, 2.0, 3.0,
    )  # fmt: skip
    assert (b.jobs, b.busy_share, b.hoarded_s) == (1, 0.2, 0.0)


def test_what_was_found_can_be_written():
    assert json.loads(msgspec.json.encode(shared(on("a"), on("b"))))["nodes"][1]["jobs"] == 1


def test_jobs_that_wait_while_every_slot_is_taken_are_not_hoarded():
    found = shared(on("a", service_s=2.0), on("a", wait_s=2.0, service_s=1.0), on("b", service_s=3.0))
    assert (found.hoarded_s, found.jobs_held, found.longest_s) == (0.0, 0, None)
    assert not found.hoards


def test_no_more_jobs_are_hoarded_than_slots_are_free():
    held = [on("a", wait_s=2.0 + number, service_s=1.0) for number in range(3)]
    found = shared(on("a", service_s=2.0), *held, on("b", service_s=1.0))
    # One slot of b from 1 to 5, though three jobs wait, then two, then one; after 4 none waits any more.
    assert found.hoarded_s == 3.0


def test_a_job_that_waits_for_a_free_slot_of_its_own_node_is_not_hoarded():
    found = shared(on("a", wait_s=1.0, service_s=1.0), on("b", service_s=0.5))
    assert found.hoarded_s == 0.0


def test_one_node_or_none_that_ran_a_job_has_nothing_to_share():
    assert shared(on("a"), slots={"threads@a": 1}) is None
    assert shared(on("a", outcome=None)) is None


def test_a_node_that_ran_no_job_is_told():
    found = shared(on("a", service_s=1.0))
    assert [(node.jobs, node.queue_wait_s) for node in found.nodes] == [(1, 0.0), (0, None)]


def test_hosts_with_several_nodes_are_told_by_host():
    slots = {"threads-1@a": 1, "threads-2@a": 3, "threads-3@b": 2}
    ran = [
        a_job(0.0, service_s=4.0, node="threads-1@a"),
        a_job(0.0, wait_s=4.0, service_s=1.0, node="threads-1@a"),
        a_job(0.0, service_s=2.0, node="threads-2@a"),
        a_job(0.0, service_s=1.0, node="threads-3@b"),
    ]
    a, b = shared(*ran, slots=slots).hosts
    assert (a.host, a.nodes, a.slots, a.jobs, a.queue_wait_s) == ("a", 2, 4, 3, 0.0)
    assert a.busy_share == (4.0 + 1.0 + 2.0) / (4 * 5.0)
    assert (b.host, b.nodes, b.slots, b.jobs, b.busy_share, b.hoarded_s) == ("b", 1, 2, 1, 0.1, 0.0)
    assert a.hoarded_s == 4.0  # the job behind the long one, while the host's other node has free slots


@pytest.mark.parametrize(
    "slots", [{"threads@a": 1, "threads@b": 1}, {"threads-1@a": 1, "threads-2@a": 1}], ids=["two hosts", "one host"]
)
def test_hosts_that_say_no_more_than_their_nodes_are_not_told(slots):
    assert shared(*(a_job(0.0, service_s=1.0, node=node) for node in slots), slots=slots).hosts == ()


times = st.integers(0, 40).map(lambda eighths: eighths / 8)
jobs = st.lists(st.tuples(st.sampled_from("ab"), times, times, times), min_size=1, max_size=12)


@given(jobs)
def test_hoarding_is_never_more_than_the_waiting_in_nodes(drawn):
    made = [on(node, due, wait_s=wait, service_s=service) for node, due, wait, service in drawn]
    found = shared(*made)
    waited = {node: sum(wait for on_node, _, wait, _ in drawn if on_node == node) for node in "ab"}
    for node in found.nodes:
        assert 0 <= node.hoarded_s <= waited[node.host] + 1e-9
    assert found.hoarded_s == pytest.approx(sum(node.hoarded_s for node in found.nodes))
    assert sum(node.jobs for node in found.nodes) == len(drawn)


@given(jobs)
def test_the_names_of_nodes_do_not_matter(drawn):
    def with_names(names):
        return shared(*[on(names[node], due, wait_s=wait, service_s=took) for node, due, wait, took in drawn])

    one, other = with_names({"a": "a", "b": "b"}), with_names({"a": "b", "b": "a"})
    assert one.hoarded_s == pytest.approx(other.hoarded_s)
    assert one.nodes[0].jobs == other.nodes[1].jobs


def test_a_record_without_the_instant_at_which_it_came_has_not_waited():
    records = tables_of(a_trial(), [on("a", service_s=2.0), on("a", wait_s=2.0), on("b")])["records"]
    found = fairness(records.with_columns(received_at=pl.lit(None, dtype=pl.Float64)), SLOTS)
    assert found.hoarded_s == 0.0
