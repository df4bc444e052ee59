"""A job is put together from its events: when it came, and its arguments as far as events show them."""

import pytest
from celery.utils.saferepr import saferepr
from hypothesis import example, given
from hypothesis import strategies as st

from producer.ownapp.event_listener import CUT, NO_LITERAL, EventListener

ID = "11111111-aaaa"
simple = st.integers() | st.booleans() | st.none() | st.text(st.characters(exclude_categories=["Cs"]))


def event(kind="task-sent", **changes):
    said = {
        "type": kind, "uuid": ID, "name": "shop.tasks.resize", "timestamp": 100.0, "args": "(1, 'a.png')",
        "kwargs": "{'size': 64}", "queue": "images", "root_id": ID, "parent_id": None, "retries": 0,
    }  # fmt: skip
    return {**said, **changes}


def heard(*events):
    listener = EventListener()
    for each in events:
        listener.on_event(each)
    return listener.jobs


def test_a_sent_job_is_heard_with_its_arguments_and_queue():
    job = heard(event())[ID]
    assert (job.at, job.task, job.args, job.kwargs) == (100.0, "shop.tasks.resize", [1, "a.png"], {"size": 64})
    assert (job.queue, job.child, job.replayable) == ("images", False, True)


def test_a_job_came_at_its_earliest_event_whichever_is_heard_first():
    sent, received = event(timestamp=100.0), event("task-received", timestamp=100.5)
    assert heard(sent, received)[ID].at == heard(received, sent)[ID].at == 100.0


def test_a_job_for_later_is_due_when_its_sender_said_whichever_event_is_heard():
    later = {"eta": "1970-01-01T00:10:00+00:00", "expires": "1970-01-01T00:10:30+00:00"}
    for events in ([event(**later)], [event(**later), event("task-received", timestamp=100.5, **later)]):
        job = heard(*events)[ID]
        assert (job.at, job.later, job.options) == (600.0, True, {"expires": 30.0})


def test_events_that_tell_of_no_new_job_are_passed_over():
    assert heard(event("task-started"), event("worker-heartbeat"), event(name=None), event(uuid=None)) == {}


def test_a_retry_under_the_same_id_is_no_new_job():
    jobs = heard(event(), event(timestamp=105.0, retries=1), event("task-received", timestamp=105.1, retries=1))
    assert [job.at for job in jobs.values()] == [100.0]


def test_a_job_that_another_started_is_its_child():
    assert heard(event(parent_id="parent", root_id="parent"))[ID].child
    assert heard(event(parent_id="parent", root_id=None))[ID].child
    assert not heard(event())[ID].child


@pytest.mark.parametrize(
    "args",
    [saferepr(("a" * 2000,), 1024), saferepr(tuple(range(1000)), 60), "(...)", "[<Image 3>]", "not python", "3", None],
)
def test_arguments_that_were_cut_or_are_no_plain_values_cannot_be_replayed(args):
    assert not heard(event(args=args))[ID].replayable
    assert not heard(event(kwargs=args))[ID].replayable


@given(st.tuples(simple, simple), st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), simple, max_size=3))
@example(("C:\\new", "it's"), {"a": "two\nlines", "b": "\0001"})
def test_arguments_are_what_was_sent_or_none_at_all(args, kwargs):
    job = heard(event(args=saferepr(args, 100_000), kwargs=saferepr(kwargs, 100_000)))[ID]
    assert job.args in (list(args), None)
    assert job.kwargs in (kwargs, None)
    # A text that ends in a backslash, or has dots, cannot be told from one that goes on, or was cut.
    assert job.replayable or any(mark in saferepr([args, kwargs]) for mark in ("\\'", "..."))


def test_why_arguments_cannot_be_told_is_told():
    assert heard(event(args="('aaa...',)"))[ID].reason == CUT
    assert heard(event(args="(<Image 3>,)"))[ID].reason == heard(event(args="(b'6162',)"))[ID].reason == NO_LITERAL
    assert heard(event())[ID].reason == ""


def test_a_retry_of_a_job_that_came_before_is_no_new_job():
    assert heard(event(retries=2)) == {}


def test_a_job_of_another_root_is_a_child():
    assert heard(event(root_id="root"))[ID].child


def test_the_queue_is_known_whichever_event_is_heard_first():
    received = event("task-received", timestamp=99.0, queue=None)
    assert heard(received, event())[ID].queue == heard(event(), received)[ID].queue == "images"
    assert heard(event(), received)[ID].at == 99.0
