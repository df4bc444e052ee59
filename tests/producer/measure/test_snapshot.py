"""A lane at this moment: what happened since the moment before, and what waits."""

from dataclasses import replace

import polars as pl
import pytest
from jobs import a_job, a_trial, tables_of

from producer.fleet.queue_depth import Depth
from producer.measure.snapshot import RateMeter
from producer.measure.trial_spec import TrialSnapshot
from producer.plan.lanes import Lane
from producer.rundir.schema import SAMPLE_SCHEMA

THREADS = Lane(key="threads", pool="threads", slots=4)


def ended(*waits_s, outcome="succeeded"):
    """Records of jobs that waited so long."""
    return tables_of(a_trial(began_at=1000.0), [a_job(wait_s=wait_s, outcome=outcome) for wait_s in waits_s])["records"]


def moment(at_s, due=0, accepted=0, ended_=0, waiting=None, records=None):
    return TrialSnapshot(
        began_at=1000.0, at_s=at_s, due=due, accepted=accepted, refused=0, ended=ended_, of=1000, waiting=waiting,
        records=ended() if records is None else records, children=ended(), samples=pl.DataFrame(schema=SAMPLE_SCHEMA),
    )  # fmt: skip


def depth(ready, unacked):
    return Depth(ready=ready, unacked=unacked)


class Watched:
    """A lane whose moments are looked at one after the other."""

    def __init__(self, lane=THREADS):
        self.pace = RateMeter(lane)

    def now(self, *words, paused=False, **named):
        return self.pace.between(moment(*words, **named), 60.0, paused=paused)


def test_rates_are_what_happened_since_the_moment_before():
    watched = Watched()
    first = watched.now(2.0, due=100, accepted=80, ended_=40, waiting=depth(20, 10))
    assert (first.lane, first.at_s, first.of_s) == ("threads", 2.0, 60.0)
    assert (first.offered_per_s, first.accepted_per_s, first.started_per_s, first.finished_per_s) == (50, 40, 25, 20)
    second = watched.now(2.5, due=110, accepted=110, ended_=90, waiting=depth(5, 5))
    # In half a second: 10 became due, 30 more were taken, 100 instead of 50 have been started, 50 more ended.
    assert (second.offered_per_s, second.accepted_per_s, second.started_per_s, second.finished_per_s) == (
        20, 60, 100, 100,
    )  # fmt: skip


def test_what_waits_on_the_broker_and_what_is_behind():
    now = Watched().now(1.0, due=100, accepted=90, ended_=60, waiting=depth(15, 5))
    assert (now.backlog, now.behind) == (20, 40)


def test_acknowledged_late_those_at_work_are_unacked_and_have_started():
    """Four slots: of ten that are unacked four are at work and six wait in the node; of three all are at work."""
    late = replace(THREADS, acks="late")
    assert Watched(late).now(1.0, accepted=50, waiting=depth(20, 10)).started_per_s == 24
    assert Watched(late).now(1.0, accepted=50, waiting=depth(20, 3)).started_per_s == 30
    assert Watched().now(1.0, accepted=50, waiting=depth(20, 10)).started_per_s == 20


def test_a_broker_that_cannot_be_looked_into_leaves_backlog_and_started_unknown():
    watched = Watched()
    now = watched.now(1.0, due=10, accepted=10, ended_=5)
    assert (now.backlog, now.started_per_s) == (None, None)
    assert (now.accepted_per_s, now.finished_per_s, now.behind) == (10, 5, 5)


def test_what_was_started_is_unknown_until_it_was_known_twice():
    watched = Watched()
    watched.now(1.0, accepted=10)
    assert watched.now(2.0, accepted=20, waiting=depth(0, 0)).started_per_s is None
    assert watched.now(3.0, accepted=30, waiting=depth(0, 0)).started_per_s == 10


def test_what_was_started_does_not_go_back():
    """The broker is asked after the publishers, so that a moment may see more waiting than it knows of."""
    watched = Watched()
    watched.now(1.0, accepted=10, waiting=depth(0, 0))
    assert watched.now(2.0, accepted=10, waiting=depth(2, 0)).started_per_s == 0


def test_failed_jobs_add_up():
    watched = Watched()
    records = pl.concat([ended(0.1, 0.1, outcome="failed"), ended(0.1), ended(0.1, outcome="revoked")])
    assert watched.now(1.0, records=records).failed == 2
    assert watched.now(2.0).failed == 2
    assert watched.now(3.0, records=ended(0.1, outcome="failed")).failed == 3


def test_queue_wait_is_that_of_the_jobs_that_ended_since_the_moment_before():
    watched = Watched()
    now = watched.now(1.0, records=ended(0.25, 0.5, 2.0))
    assert (now.queue_wait_p50_s, now.queue_wait_p99_s) == (0.5, 2.0)
    now = watched.now(2.0, records=ended(0.125))
    assert (now.queue_wait_p50_s, now.queue_wait_p99_s) == (0.125, 0.125)


def test_without_a_job_that_ended_there_is_no_queue_wait():
    assert Watched().now(1.0).queue_wait_p99_s is None
    revoked = tables_of(a_trial(), [a_job(started_at=None, finished_at=None, outcome="revoked")])["records"]
    now = Watched().now(1.0, records=revoked)
    assert (now.queue_wait_p50_s, now.queue_wait_p99_s) == (None, None)


def test_two_moments_at_once_give_finite_rates():
    watched = Watched()
    watched.now(1.0, due=10)
    assert watched.now(1.0, due=11).offered_per_s == pytest.approx(1000)


def test_a_pause_is_passed_on():
    assert Watched().now(1.0, paused=True).paused
    assert not Watched().now(1.0).paused
