"""Events are put into words, on the broker's clock."""

import pytest

from poolrace.clock import BrokerClock
from producer.plan.script import Change
from producer.rundir.events import Event, EventKind, EventLog, change_text, children_text


def test_an_event_just_now_is_on_the_brokers_clock():
    events = []
    log = EventLog(events.append)
    log.now = BrokerClock(correction_s=2.5, host=lambda: 100.0).now
    log.note(EventKind.JOINED, lane="threads", node="second@host")
    assert events == [Event(at=102.5, lane="threads", node="second@host", kind="node joined", detail="")]


def test_an_event_whose_time_is_known_keeps_it():
    events = []
    log = EventLog(events.append, now=lambda: 100.0)
    log.note(EventKind.REFUSED, at=7.0)
    assert events[0].at == 7.0


@pytest.mark.parametrize(
    ("node", "detail", "words"),
    [
        ("", "", "node lost"),
        ("a@b", "", "node lost: a@b"),
        ("", "why", "node lost: why"),
        ("a@b", "why", "node lost: a@b, why"),
    ],
)
def test_words_leave_out_what_is_empty(node, detail, words):
    assert Event(at=0.0, lane="", node=node, kind=EventKind.LOST, detail=detail).text == words


@pytest.mark.parametrize(
    ("ended", "began", "told"),
    [
        (set(), set(), ""),
        ({12, 7}, {9}, "pid 7, 12 ended, pid 9 began"),
        (set(), {9}, "pid 9 began"),
        ({1, 2, 3, 4, 5}, set(), "5 processes ended"),
    ],
)
def test_children_are_named_and_many_are_counted(ended, began, told):
    assert children_text(ended, began) == told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change(at_s=2.0, rate_per_s=80.0), "80/s"),
        (Change(at_s=3.0, mix={"cpu": 1, "io": 3}), "the script's rate, cpu=1,io=3"),
        (Change(at_s=5.0, paused=True), "paused"),
    ],
)
def test_a_change_of_a_load_says_what_it_does_from_then_on(change, words):
    assert change_text(change) == words
