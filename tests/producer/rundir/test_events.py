"""Events are told in words, on the broker's clock, and read from the manifest of a run that noted none."""

import pytest
from jobs import a_trial

from poolrace.clock import BrokerClock
from producer.rundir.events import Event, EventKind, EventLog, children_text, told_by_manifest

ZERO = 1_700_000_000.0


def load(lane):
    return a_trial(workload="cpu=1", lane=lane, jobs=1, rate_per_s=None, began_at=ZERO, ended_at=ZERO + 10)


def change(at_s, **other):
    return {"at_s": at_s, "rate_per_s": None, "mix": None, "paused": False, **other}


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


def test_a_run_that_noted_none_tells_how_its_load_was_steered_and_ended():
    manifest = {
        "changes": {
            "threads": [
                change(2.0, rate_per_s=80.0),
                change(3.0, mix={"cpu": 1, "io": 3}),
                change(5.0, paused=True),
            ],
            "never loaded": [change(1.0)],
        },
        "aborted": {"lane": "threads", "at_s": 4.0, "why": "lost == 0"},
    }
    told = told_by_manifest(manifest, [load("threads")])
    assert [(event.at - ZERO, event.lane, event.text) for event in told] == [
        (2.0, "threads", "load changed: 80/s"),
        (3.0, "threads", "load changed: the script's rate, cpu=1,io=3"),
        (4.0, "threads", "threshold broken: lost == 0"),
        (5.0, "threads", "load changed: paused"),
    ]


def test_a_run_to_which_nothing_happened_has_no_events():
    assert told_by_manifest({"changes": None}, [load("threads")]) == []
