"""What others used of a machine is what neither the nodes on it, nor their broker, nor the run itself did."""

import pytest

from poolrace.contract import NodeSample
from poolrace.machine_use import MachineUse
from producer.fleet.control import NodeUse
from producer.fleet.others import AttachedOthersMeter, OthersMeter, Reading, others
from producer.rundir.manifest import OthersOnHost

HERE = "this machine"


def machine(*, busy_s=0.0, at_s=0.0, name=HERE, cores=4):
    return MachineUse(machine=name, cores=cores, at_s=at_s, busy_s=busy_s)


def node(cpu_s, on):
    sample = NodeSample(
        at=1.0, cpu_s=cpu_s, pss_bytes=None, private_bytes=None, voluntary_switches=3, involuntary_switches=4,
        processes=1, threads=2, children=(), drift_s=0.0,
    )  # fmt: skip
    return NodeUse(sample=sample, machine=on)


def reading(nodes, *, broker_s=0.0, ours_s=0.0):
    return Reading(broker_s=broker_s, ours_s=ours_s, here=machine(), nodes=nodes)


def test_what_nodes_broker_and_run_used_is_not_others():
    """Of 30 CPU seconds in 10 s, nodes used 6 and 4, the broker 3 and the run 2: 15 are left, 1.5 cores."""
    began = reading({"a": node(1, machine(busy_s=100)), "b": node(2, machine(busy_s=100))}, broker_s=1, ours_s=1)
    now = reading(
        {"a": node(7, machine(busy_s=130, at_s=10)), "b": node(6, machine(busy_s=130, at_s=10))}, broker_s=4, ours_s=3
    )
    assert list(others(began, now)) == [OthersOnHost(nodes=("a", "b"), cores=4, others_cores=1.5)]


def test_what_the_run_used_is_not_taken_off_on_another_machine():
    """Of 30 CPU seconds there in 10 s, its node used 6 and the broker perhaps 3."""
    began = reading({"a": node(1, machine(name="far", busy_s=100))})
    now = reading({"a": node(7, machine(name="far", busy_s=130, at_s=10))}, broker_s=3, ours_s=20)
    assert list(others(began, now)) == [OthersOnHost(nodes=("a",), cores=4, others_cores=2.1)]


def test_there_are_no_others_where_the_broker_is_elsewhere_and_used_more_than_is_left():
    began = reading({"a": node(0, machine())})
    now = reading({"a": node(6, machine(busy_s=7, at_s=10))}, broker_s=3)
    assert [host.others_cores for host in others(began, now)] == [0.0]


@pytest.mark.parametrize(
    "later",
    [
        pytest.param({"a": node(5, machine(busy_s=30, at_s=10))}, id="a node does not answer any more"),
        pytest.param(
            {"a": node(5, machine(busy_s=30, at_s=10)), "b": node(1, machine(busy_s=30, at_s=10))},
            id="a node has started anew",
        ),
        pytest.param(
            {name: node(5, machine(busy_s=30, at_s=10, name="started anew")) for name in "ab"}, id="it has started anew"
        ),
        pytest.param({"a": node(5, machine(busy_s=30)), "b": node(5, machine(busy_s=30))}, id="no time has passed"),
    ],
)
def test_nothing_is_said_of_a_machine_of_which_not_all_is_known(later):
    began = reading({"a": node(2, machine()), "b": node(2, machine()), "c": node(2, machine(name="far"))})
    now = reading({**later, "c": node(2, machine(name="far", busy_s=5, at_s=10))})
    assert [(host.nodes, host.others_cores) for host in others(began, now)] == [(("c",), 0.5)]


def test_nothing_is_said_of_nodes_of_a_poolrace_that_does_not_tell():
    assert list(others(reading({"a": node(1, None)}), reading({"a": node(2, None)}))) == []


def test_a_meter_asks_when_it_is_made_and_at_the_end():
    answers = iter([{"a": node(1, machine(name="far"))}, {"a": node(2, machine(name="far", busy_s=21, at_s=10))}])
    meter = AttachedOthersMeter(lambda: next(answers), lambda: None)
    assert meter.hosts() == (OthersOnHost(nodes=("a",), cores=4, others_cores=2.0),)


def test_what_this_process_uses_itself_is_not_others(monkeypatch):
    """The machine was busy for 8 s in 10 s, of which this process took 3."""
    used = iter([0.0, 3.0])
    uses = iter([machine(), machine(busy_s=8, at_s=10)])
    monkeypatch.setattr("producer.fleet.others.machine_use", lambda: next(uses))
    monkeypatch.setattr("producer.fleet.others.Sampler.cpu_s", lambda _sampler: next(used))
    assert OthersMeter().cores() == 0.5
