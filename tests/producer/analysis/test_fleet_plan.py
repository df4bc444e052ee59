"""The fewest nodes that keep an SLO: what binds, what no number of nodes can keep, and what more of anything does."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from producer.analysis.fleet_inputs import FleetInputs
from producer.analysis.fleet_plan import (
    BROKER_SHARE,
    FULL,
    Allowance,
    best_option,
    brokers_for,
    expect,
    fewest_nodes,
    fleet_options,
)
from producer.analysis.fleet_simulation import NOTHING, Work
from producer.plan.fleet_question import FleetQuestion
from producer.plan.lanes import parse_lanes
from producer.plan.thresholds import parse_threshold

(LANE,) = parse_lanes(["threads:4"], least=1)
MIB = 2**20
NOISE = 1.03
"""Two simulations of 19,000 jobs each may differ by so much in a p99."""


def known(**changes):
    """Jobs that sleep for 50 ms on nodes of 4 slots."""
    fields = {
        "name": "threads", "lane": LANE, "workload": "sleep", "measured": ((1, 4),),
        "work": Work(wait_s=np.array([0.05]), cpu_s=np.array([0.0])), "alone": True, "handover_s": NOTHING,
        "gap_s": NOTHING, "node_s": 0.0, "node_measured": True, "broker_s": None, "memory_bytes": {4: 40.0 * MIB},
        "cores": 2.0, "ping_s": 0.0,
    }  # fmt: skip
    return FleetInputs(**{**fields, **changes})


def asked(rate_per_s=200.0, slo="p99(sojourn) < 500ms", **changes):
    return FleetQuestion(**{"rate_per_s": rate_per_s, "slo": (parse_threshold(slo),), **changes})


def option(found=None, question=None, allowance=None):
    return fleet_options(found or known(), question or asked(), allowance or Allowance())[0]


def test_as_many_nodes_as_the_slots_need():
    """200 jobs/s hold 10 slots; at 90 % at most that is 11.1, and three nodes of four."""
    found = option()
    assert (found.nodes, found.brokers, found.first) == (3, 1, "slots")
    assert found.use["slots"] == pytest.approx(10 / 12)
    assert found.p50_s == pytest.approx(0.05, rel=0.1)
    assert found.node_bytes == 40 * MIB
    assert found.why_not == ""


def test_a_tighter_slo_needs_more_nodes_than_the_slots_do():
    found = option(question=asked(slo="p99(sojourn) < 70ms"))
    assert found.nodes > 3
    assert found.p99_s < 0.07


def test_a_broker_that_binds_is_named_and_shared():
    """4 ms of a broker a job: one holds 175/s with 70 % of its core, so 400/s need three, each with its own nodes."""
    found = option(known(broker_s=0.004), asked(400.0))
    assert brokers_for(400.0, 0.004) == 3
    assert (found.brokers, found.nodes % 3, found.first) == (3, 0, "broker")
    assert found.use["broker"] == pytest.approx(400 / 3 * 0.004)
    assert found.use["broker"] <= BROKER_SHARE


def test_a_million_jobs_a_second_are_many_brokers_of_which_one_is_simulated():
    found = option(known(broker_s=0.0001), asked(1e6, slo="p99(sojourn) < 1s"))
    assert found.brokers == 143
    assert found.nodes == 143 * -(-1e6 / 143 * 0.05 / FULL // 4)
    assert found.first == "broker"


def test_a_main_process_that_binds_is_named():
    """5 ms of a node for a job: 300 jobs/s take 1.5 of it, so two nodes at 75 %, whatever their slots could do."""
    found = option(known(node_s=0.005), asked(300.0, slots=(64,)))
    assert (found.nodes, found.first) == (2, "node")


def test_cores_that_bind_are_named():
    """Jobs that compute for 50 ms behind a lock: 20/s a node at most, and 18 with 90 % of its core."""
    found = option(
        known(work=Work(wait_s=np.array([0.0]), cpu_s=np.array([0.05]))), asked(30.0, slo="p99(sojourn) < 2s")
    )
    assert (found.nodes, found.first) == (2, "cores")


@pytest.mark.parametrize(
    ("changes", "question", "says"),
    [
        ({}, {"slo": "p99(sojourn) < 40ms"}, "p99 of the job itself is 50 ms, and of the way to its slot 0 ms"),
        ({}, {"slo": "p99(sojourn) < 60ms", "rtt_s": 0.02}, "the way to its slot 44 ms"),
        ({}, {"slo": "p99(service) < 49ms"}, "p99 of service is 50 ms"),
        ({"handover_s": np.array([0.03])}, {"slo": "p50(queue_wait) < 20ms"}, "the way to its slot 30 ms"),
    ],
)
def test_an_slo_that_no_number_of_nodes_keeps_is_told(changes, question, says):
    found = option(known(**changes), asked(**question))
    assert found.nodes is None
    assert "No number of nodes keeps" in found.why_not
    assert says in found.why_not


def test_memory_is_part_of_an_slo():
    slo = (parse_threshold("p99(sojourn) < 500ms"), parse_threshold("mem_per_slot < 5MiB"))
    assert "memory of a slot" in fleet_options(known(), replace(asked(), slo=slo))[0].why_not
    enough = (slo[0], parse_threshold("mem_per_slot < 20MiB"))
    assert fleet_options(known(), replace(asked(), slo=enough))[0].nodes == 3


def test_what_is_allowed_for_errors_never_takes_nodes_away():
    question = asked(slo="p99(sojourn) < 75ms")
    plain = option(question=question)
    careful = option(question=question, allowance=Allowance(slower=1.2, less=1.1))
    assert careful.least_nodes == plain.nodes
    assert careful.nodes > plain.nodes


def test_an_allowance_can_make_an_slo_impossible():
    found = option(question=asked(slo="p99(sojourn) < 60ms"), allowance=Allowance(slower=1.5))
    assert "1.50 times that with the error of the model" in found.why_not


@pytest.mark.parametrize("slo", ["p99(sojourn) < 500ms", "p99(sojourn) < 70ms"])
def test_a_higher_rate_never_needs_fewer_nodes(slo):
    nodes = [option(question=asked(rate, slo)).nodes for rate in (50.0, 100.0, 150.0, 250.0, 400.0)]
    assert nodes == sorted(nodes)


def test_more_slots_never_raise_a_p99_beyond_noise():
    question = asked(150.0)
    p99s = []
    for slots in (3, 4, 6, 8, 16):
        model = known().model(nodes=3, slots=slots, cores=2.0, rate_per_s=150.0, rtt_s=None)
        p99s.append(expect(model, 150.0, question).stages["sojourn"].p99)
    assert all(after <= before * NOISE for before, after in pairwise(p99s))


def test_the_fewest_nodes_leave_a_tenth_of_each_resource():
    model = known().model(nodes=1, slots=4, cores=2.0, rate_per_s=0.0, rtt_s=None)
    assert fewest_nodes(lambda nodes: replace(model, nodes=nodes), 72.0) == 1
    assert fewest_nodes(lambda nodes: replace(model, nodes=nodes), 73.0) == 2


def test_each_number_of_slots_is_tried_and_the_fewest_nodes_are_best():
    found = fleet_options(known(), asked(slots=(2, 4, 8, 16)))
    assert [each.nodes for each in found] == [6, 3, 2, 1]
    assert [each.measured for each in found] == [False, True, False, False]
    assert best_option(found).slots == 16


def test_constant_arrivals_need_no_more_than_random_ones():
    slo = "p99(sojourn) < 60ms"
    assert option(question=asked(slo=slo, arrivals="constant")).nodes < option(question=asked(slo=slo)).nodes


def test_the_same_question_has_the_same_answer():
    assert option() == option()
