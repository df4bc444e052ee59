"""A lane that one core holds back is known by the CPU that it used while others used the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jobs import a_run, a_trial
from nouns import verdict

from producer.analysis.held_back import held_back
from producer.analysis.recommendation import recommend
from producer.plan.lanes import parse_lanes
from producer.rundir.manifest import NodeFacts
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from producer.rundir.run import Run

BOTH = ("prefork:2", "threads:2")


def ran(
    *specs: str, others_cores: float | None = 1.0, used_cores: float | None = 1.0, gil: bool = True, **trial: Any
) -> Run:
    """Return a race of these lanes, a backlog of four seconds on each."""
    lanes = parse_lanes(list(specs), least=1)
    trials = [
        a_trial(
            trial=number, kind=Kind.CAPACITY, lane=lane.key, began_at=100.0, ended_at=104.0, others_cores=others_cores,
            cpu_s=None if used_cores is None else 4 * used_cores, **trial,
        )
        for number, lane in enumerate(lanes)
    ]  # fmt: skip
    nodes = [NodeFacts(node=f"{lane.key}@host", lane=lane.key, ready_s=None, hello={"gil": gil}) for lane in lanes]
    pairs = [part for each in trials for part in (each, [])]
    return a_run(*pairs, settings={"kind": "race", "lanes": lanes}, manifest={"nodes": tuple(nodes)})


def of(run: Run, workload: str = "sleep") -> dict[str, float]:
    return dict(held_back(run, run.manifest.settings.lanes, workload))


def test_threads_that_had_one_of_two_cores_may_be_half_as_fast() -> None:
    assert of(ran(*BOTH)) == {"threads": pytest.approx(0.5)}


def test_the_more_cores_others_used_the_more_it_may_be() -> None:
    assert of(ran(*BOTH, others_cores=3.0)) == {"threads": pytest.approx(0.75)}


@pytest.mark.parametrize(
    "why",
    [
        {"others_cores": 0.4},
        {"others_cores": None},
        {"used_cores": 0.7},
        {"used_cores": None},
        {"gil": False},
        {"workload": "io"},
    ],
    ids=["they left the cores", "unknown", "it waited", "not measured", "no GIL", "another workload"],
)
def test_otherwise_nothing_is_held_back(why: dict[str, Any]) -> None:
    assert of(ran(*BOTH, **why)) == {}


def test_nodes_have_a_core_each() -> None:
    assert of(ran("prefork:2", "threads:2:nodes=2", used_cores=1.0)) == {}
    assert of(ran("prefork:2", "threads:2:nodes=2", used_cores=2.0)) == {"threads": pytest.approx(1 / 3)}


def test_where_no_lane_can_use_several_cores_none_is_held_back() -> None:
    assert of(ran("threads:2", "threads:4")) == {}


def test_a_tie_on_a_crowded_machine_goes_to_the_lane_that_can_use_the_cores_which_are_not_there_now() -> None:
    run = ran(*BOTH)
    tie = verdict(low=0.97, high=1.03, confidence=0.98)
    found = recommend(run, run.manifest.settings.lanes, [tie])
    assert (found.lane, found.sure) == ("prefork", "settled")
    assert found.why == "at worst 3 % slower, with all cores threads may do 50 % less"
    quiet = ran(*BOTH, others_cores=0.0)
    assert "with all cores" not in recommend(quiet, quiet.manifest.settings.lanes, [tie]).why


def test_an_open_comparison_does_too_unless_the_other_lane_may_be_slower_still() -> None:
    run = ran(*BOTH)
    assert recommend(run, run.manifest.settings.lanes, [verdict("open", low=0.8, high=1.1)]).lane == "prefork"
    assert recommend(run, run.manifest.settings.lanes, [verdict("open", low=0.4, high=1.1)]).lane == "threads"


def test_what_is_settled_stays() -> None:
    run = ran(*BOTH)
    found = recommend(run, run.manifest.settings.lanes, [verdict("threads", low=0.7, high=0.9)])
    assert (found.lane, "with all cores" in found.why) == ("threads", False)
