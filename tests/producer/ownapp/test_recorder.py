"""What either way came to know is put together, each job once, and what is left out is counted."""

import pytest

from producer.cli.record import chosen_ways, left_out
from producer.errors import UsageError
from producer.ownapp.event_listener import CUT, EVENTS, NO_LITERAL, QUEUE, WAYS, EventListener, RecordedJob
from producer.ownapp.recorder import merged, split_replayable


class Tapped:
    """What a tap came to know."""

    def __init__(self, jobs, before=()):
        self.jobs = jobs
        self.before = set(before)


def job(task_id, at=1.0, args=(), **others):
    return RecordedJob(**{
        "task_id": task_id, "at": at, "task": "shop.tasks.resize", "args": args if args is None else list(args),
        "kwargs": {}, **others,
    })  # fmt: skip


def by_id(*jobs):
    return {job.task_id: job for job in jobs}


def test_a_job_that_both_ways_saw_is_one_with_the_queues_arguments_and_the_earlier_time():
    listener = EventListener(jobs=by_id(job("a", at=1.0, args=None, reason=CUT)))
    found = merged(listener, Tapped(by_id(job("a", at=1.2, args=["whole"], queue="images"))), ["images"])
    assert [(each.at, each.args) for each in found.jobs] == [(1.0, ["whole"])]
    assert found.unreadable == {}
    assert found.events_only == 0


def test_a_job_that_the_queue_did_not_show_is_taken_from_events_if_it_is_of_the_queue():
    listener = EventListener(
        jobs=by_id(job("a", queue="images"), job("b", queue="mail"), job("c"), job("old", queue="images"))
    )
    found = merged(listener, Tapped({}, before=["old"]), ["images"])
    assert [each.task_id for each in found.jobs] == ["a"]
    assert (found.events_only, found.elsewhere, found.before) == (1, 2, 1)


def test_jobs_are_in_the_order_they_came_without_children_and_what_cannot_be_sent_again():
    found = split_replayable(
        by_id(job("b", at=2.0), job("a", at=1.0), job("child", child=True), job("cut", args=None, reason=CUT),
              job("set", args=[{1, 2}]))
    )  # fmt: skip
    assert [each.task_id for each in found.jobs] == ["a", "b"]
    assert found.children == 1
    assert found.unreadable == {"shop.tasks.resize": {CUT: 1, NO_LITERAL: 1}}


def test_what_is_left_out_is_told():
    listener = EventListener(jobs=by_id(job("a", args=None, reason=CUT, queue="images"), job("c")))
    said = " ".join(left_out(merged(listener, Tapped({}, ["old"]), ["images"]), frozenset(WAYS)))
    assert f"1 of shop.tasks.resize ({CUT})" in said
    assert "may be missing" in said
    assert "1 jobs in events are left out" in said
    assert "1 jobs are left out that had come before" in said


@pytest.mark.parametrize(
    ("ways", "queues", "chosen"),
    [
        ((), (), {EVENTS}),
        ((), ("mail",), {QUEUE}),
        ((EVENTS, QUEUE), ("mail",), {EVENTS, QUEUE}),
        ((EVENTS,), (), {EVENTS}),
    ],
)
def test_a_queue_is_looked_at_if_one_is_named(ways, queues, chosen):
    assert chosen_ways(ways, queues) == chosen


@pytest.mark.parametrize(("ways", "queues"), [((QUEUE,), ()), ((EVENTS,), ("mail",))])
def test_ways_and_queues_that_contradict_each_other_are_refused(ways, queues):
    with pytest.raises(UsageError, match="--queue"):
        chosen_ways(ways, queues)
