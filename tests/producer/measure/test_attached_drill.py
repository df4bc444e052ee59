"""Which drills are done on nodes that somebody else runs, and what they may cost there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolrace.pools import POOLS
from producer.measure.attached_drill import MOST_WAITED_S, bounds_on, why_left_out, why_not_on
from producer.measure.attached_scene import AttachedLane
from producer.measure.drill import OWN_FAULT, Entry, catalogue, find
from producer.plan.drill import Cell
from producer.plan.lanes import Lane

FORKS = next(name for name, pool in POOLS.items() if pool.has_children)
THREADS = next(name for name, pool in POOLS.items() if not pool.has_children)
DONE_THERE = {
    "child-kill", "connection-cut", "eta-beyond-timeout", "job-crash", "job-ignores-term", "job-leave", "job-overstays",
    "long-job", "long-wait", "node-term", "publisher-kill",
}  # fmt: skip


def lane(pool: str = FORKS, *, nodes: int = 3, visibility_s: float = 60.0) -> AttachedLane:
    return AttachedLane(
        lane=Lane(key=pool, pool=pool, slots=2 * nodes, nodes=nodes), queue=pool, visibility_s=visibility_s,
        nodes=frozenset(f"{pool}@{number}" for number in range(nodes)),
        cell=Cell(pool=pool, acks="late", transport="atomic", profile="safe"),
    )  # fmt: skip


def entry(name: str) -> Entry:
    found = find(name)
    assert found is not None
    return found


def test_those_whose_faults_need_the_broker_and_jobs_alone_are_done() -> None:
    assert {each.name for each in catalogue() if not why_left_out(each)} == DONE_THERE


def test_each_of_the_others_is_left_out_with_a_reason_in_a_line() -> None:
    reasons = {each.name: why_left_out(each) for each in catalogue() if each.name not in DONE_THERE}
    assert all(reasons.values())
    assert all("\n" not in reason and len(reason) < 120 for reason in reasons.values())
    assert reasons["clock-jump"] == "it sets the clocks of nodes, and these have those of their hosts"
    assert "--fault-command" in reasons["node-kill"]


@pytest.mark.parametrize(
    ("name", "at", "said"),
    [
        ("job-crash", lane(THREADS), "its job would end node after node here"),
        ("child-kill", lane(THREADS), "no slot of this pool is a process"),
        ("long-job", lane(nodes=1), "it needs 2 nodes, and this lane has 1"),
        ("long-job", lane(visibility_s=3600.0), "it waits for 3 visibility timeouts, 10800 s here"),
        ("node-kill", lane(), "do it by --fault-command"),
    ],
)
def test_one_is_left_out_on_a_lane_that_it_says_nothing_of(name: str, at: AttachedLane, said: str) -> None:
    assert said in why_not_on(entry(name), at, known=True)


@pytest.mark.parametrize("name", sorted(DONE_THERE))
def test_on_a_lane_of_several_nodes_whose_slots_are_processes_all_of_them_are_done(name: str) -> None:
    assert lane().visibility_s * 3 <= MOST_WAITED_S
    assert why_not_on(entry(name), lane(), known=True) == ""


def test_nodes_of_another_app_know_only_the_job_that_waits_so_only_a_fault_of_the_users_is_done() -> None:
    assert "worker.app" in why_not_on(entry("long-job"), lane(), known=False)
    assert why_not_on(OWN_FAULT, lane(THREADS, nodes=1, visibility_s=3600), known=False) == ""


def test_a_job_that_ends_its_process_may_still_be_coming_again_since_the_nodes_limit_is_theirs() -> None:
    at = lane()
    assert bounds_on(entry("job-crash").drill, at.cell, 2).queued == 1
    assert bounds_on(entry("long-job").drill, at.cell, 2).queued == 0
    assert bounds_on(entry("node-term").drill, at.cell, 8).repeated == 8


def test_a_drill_that_takes_the_scene_of_its_own_fleet_is_not_done_on_others() -> None:
    kill = entry("node-kill")
    assert not kill.is_anywhere
    assert replace(kill, strike=entry("node-term").strike).is_anywhere
