"""Commands to nodes on a broker in memory, where nobody answers."""

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from poolrace.cgroup import Throttling
from poolrace.contract import NodeSample
from poolrace.machine_use import MachineUse
from producer.errors import FleetError
from producer.fleet.broker_errors import needing_broker
from producer.fleet.control import Control, NodeUse


@pytest.fixture
def control():
    control = Control(Celery("control", broker="memory://", set_as_current=False))
    yield control
    control.close()


def test_nodes_that_do_not_answer_are_left_out(control):
    assert control.hello("00112233445566ff", ["threads@nowhere"], 0.01) == {}
    assert control.uses(["threads@nowhere"], 0.01) == {}


def test_a_ping_without_an_answer_has_no_round_trip(control):
    assert control.ping_s("threads@nowhere", 0.01) is None


class Replies:
    """An app whose nodes answer as they are told."""

    def __init__(self, replies):
        self.control = self
        self.asked = []
        self._replies = replies

    def connection_for_write(self):
        return Celery("replies", broker="memory://", set_as_current=False).connection_for_write()

    def broadcast(self, command, **options):
        self.asked.append((command, options["arguments"], options["destination"]))
        if isinstance(self._replies, Exception):
            raise self._replies
        return self._replies


def test_answers_are_told_by_node():
    app = Replies([{"threads@a": {"pool": "threads"}}, {"prefork@a": {"pool": "prefork"}}])
    answers = Control(app).hello("00112233445566ff", ["threads@a", "prefork@a"])
    assert answers == {"threads@a": {"pool": "threads"}, "prefork@a": {"pool": "prefork"}}
    asked = ("poolrace_hello", {"run_id": "00112233445566ff", "every_s": 1.0}, ["threads@a", "prefork@a"])
    assert app.asked == [asked]


def test_a_node_without_stamping_has_no_sample():
    app = Replies([{"threads@a": {"error": "stamping is not attached to this node's app"}}])
    assert Control(app).uses(["threads@a"]) == {}


def test_what_a_node_has_used_comes_with_its_throttling_and_the_use_of_its_machine_if_it_tells_them():
    sample = NodeSample(
        at=1.0, cpu_s=2.0, pss_bytes=None, private_bytes=None, voluntary_switches=3, involuntary_switches=4,
        processes=1, threads=2, children=(), drift_s=0.0,
    )  # fmt: skip
    counts = {"periods": 10, "throttled": 4, "throttled_s": 0.5}
    machine = {"machine": "c0ffee", "cores": 2, "at_s": 5.0, "busy_s": 3.0}
    told = {**sample.to_dict(), "throttling": counts, "machine": machine}
    app = Replies([{"a": told}, {"old": sample.to_dict()}])
    assert Control(app).uses(["a", "old"]) == {
        "a": NodeUse(sample=sample, throttling=Throttling(**counts), machine=MachineUse(**machine)),
        "old": NodeUse(sample=sample),
    }


def test_a_ping_that_is_answered_has_a_round_trip():
    assert Control(Replies([{"threads@a": {"ok": "pong"}}])).ping_s("threads@a") >= 0


@pytest.mark.parametrize(
    "error", [OperationalError("refused"), redis.ConnectionError("refused"), ConnectionResetError("refused")]
)
def test_a_broker_that_is_gone_is_told_in_one_way(error):
    with pytest.raises(FleetError, match=r"The broker is gone \(refused\)\. What was measured so far is kept\."):
        Control(Replies(error)).uses(["threads@a"])


def test_a_bug_is_not_taken_for_a_broker_that_is_gone():
    with pytest.raises(ZeroDivisionError), needing_broker():
        raise ZeroDivisionError
