"""What jobs start is counted under them: waited for, kept apart, and part of how long they take."""

import secrets
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from celery import Celery
from hypothesis import given, settings
from hypothesis import strategies as st

from poolrace.contract import NO_OFFSET, ClockOffset, JobRecord, Outcome, Shipment, join_rows, records_queue
from producer.analysis.analyse import analyse
from producer.analysis.latency import first_successes, latency
from producer.measure.collector import Collector
from producer.plan.arrivals import Plan, seed_for
from producer.plan.jobs import Call, Jobs, with_calls
from producer.rundir.schema import RECORD_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind, Trial


class Site:
    """A collector on a broker in memory, and a node that ships to it."""

    def __init__(self):
        self.run_id = secrets.token_hex(8)
        self.app = Celery("site", broker="memory://", set_as_current=False)
        self.collector = Collector(
            self.app, self.run_id, lane_of={"threads@host": "threads"}
        )  # fmt: skip

    def job(self, seq, **changes):
        record = JobRecord(
            run_id=self.run_id, trial=0, seq=seq, due_at=1000.0, sent_at=1000.125, received_at=1000.25,
            started_at=1000.5, finished_at=1001.0, cpu_s=0.25, pid=10, thread_id=11,
        )  # fmt: skip
        return replace(record, **changes)

    def child(self, seq, **changes):
        return self.job(seq, child=True, **changes)

    def ship(self, *records, clock=NO_OFFSET):
        """Have the collector take a shipment of these records."""
        shipment = Shipment(node="threads@host", pool="threads", clock=clock, rows=join_rows(records), samples=())
        with self.app.connection_for_write() as connection:
            connection.Producer().publish(
                shipment.encode(),
                exchange="",
                routing_key=records_queue(self.run_id),
                content_type="application/data",
                content_encoding="binary",
            )
        self.collector.poll(1.0)

    @property
    def missing(self):
        return self.collector.missing, self.collector.missing_children


@pytest.fixture
def site():
    site = Site()
    with site.collector:
        site.collector.expect(0, 3)
        yield site


def test_what_a_job_started_is_missing_until_its_end_is_in(site):
    site.ship(site.job(0, started=2))
    assert site.missing == (2, 2)
    site.ship(site.child(0))
    assert site.missing == (2, 1)
    site.ship(site.child(0, outcome=Outcome.FAILED))
    assert site.missing == (2, 0)


def test_a_childs_end_is_not_that_of_the_job_that_started_it(site):
    site.ship(site.child(0), site.child(1))
    assert site.collector.missing == 3


def test_a_child_may_be_known_before_the_job_that_started_it(site):
    site.ship(site.child(0))
    assert site.missing == (3, 0)
    site.ship(site.job(0, started=2))
    assert site.missing == (2, 1)
    site.ship(site.child(0))
    assert site.missing == (2, 0)


def test_what_a_child_starts_is_missing_too(site):
    site.ship(site.job(0, started=1))
    site.ship(site.child(0, started=2))
    assert site.missing == (2, 2)
    site.ship(site.child(0), site.child(0))
    assert site.missing == (2, 0)


def test_a_childs_retry_is_no_end_and_what_each_attempt_started_is_missing(site):
    site.ship(site.job(0, started=1))
    site.ship(site.child(0, outcome=Outcome.RETRIED, started=1))
    assert site.missing == (2, 2)
    site.ship(site.child(0, attempt=2), site.child(0))
    assert site.missing == (2, 0)


def test_what_a_job_started_before_it_was_tried_again_is_missing(site):
    site.ship(site.job(0, outcome=Outcome.RETRIED, started=1))
    assert site.missing == (3, 1)
    site.ship(site.child(0), site.job(0, attempt=2))
    assert site.missing == (2, 0)


def test_children_of_another_trial_or_of_strangers_are_kept_but_not_counted(site):
    site.ship(site.job(0, trial=7, started=5), site.job(99, started=5), site.job(0, started=1))
    site.ship(site.child(0, trial=7), site.child(99))
    assert site.missing == (2, 1)
    assert site.collector.take_children().height == 2


def test_a_new_trial_starts_counting_children_anew(site):
    site.ship(site.job(0, started=3))
    site.collector.expect(1, 1)
    assert site.missing == (1, 0)
    site.ship(site.child(0))
    site.ship(site.job(0, trial=1, started=1))
    assert site.missing == (0, 1)


def test_after_a_replan_children_are_still_waited_for(site):
    site.ship(site.job(0, started=2))
    site.collector.replan(5)
    assert site.missing == (4, 2)


@settings(max_examples=40)
@given(order=st.permutations(range(7)), together=st.integers(1, 7))
def test_in_whatever_order_they_come_nothing_is_missing_once_all_are_in(order, together):
    """Job 0 starts two, of which one starts a third; job 1 starts one, which is tried twice."""
    site = Site()
    records = [
        site.job(0, started=2), site.child(0, started=1), site.child(0), site.child(0),
        site.job(1, started=1), site.child(1, outcome=Outcome.RETRIED), site.child(1, attempt=2),
    ]  # fmt: skip
    with site.collector:
        site.collector.expect(0, 2)
        for start in range(0, 7, together):
            site.ship(*(records[place] for place in order[start : start + together]))
        assert site.missing == (0, 0)
        assert site.collector.rows == 2
        assert site.collector.take_children().height == 5


def test_children_are_a_table_of_their_own_in_the_layout_of_records(site):
    site.ship(
        site.job(0, started=1), site.child(0, sent_at=1000.375), clock=ClockOffset(offset_s=-2.0, bound_s=0.001)
    )  # fmt: skip
    records = site.collector.take().records
    children = site.collector.take_children()
    assert (records.height, children.height) == (1, 1)
    assert children.schema == records.schema == pl.Schema(RECORD_SCHEMA)
    child = children.row(0, named=True)
    assert (child["trial"], child["seq"], child["lane"]) == (0, 0, "threads")
    assert (child["received_at"], child["finished_at"]) == (998.25, 999.0)
    assert records["sent_at"].to_list() == [1000.125]


def test_children_that_were_taken_are_not_given_again_and_have_their_columns(site):
    site.ship(site.child(0))
    assert site.collector.take_children().height == 1
    assert site.collector.take_children().schema == pl.Schema(RECORD_SCHEMA)
    assert site.collector.take_children().height == 0


def test_children_do_not_come_with_the_records_nor_with_what_is_fresh(site):
    site.ship(site.child(0))
    assert site.collector.fresh()[0].height == 0
    assert site.collector.rows == 0
    assert site.collector.take()[0].height == 0
    assert site.collector.take_children().height == 1


def row(seq, *, trial=0, started=2.0, finished=3.0, outcome="succeeded"):
    return {
        "trial": trial, "seq": seq, "lane": "threads", "node": "threads@host", "pool": "threads", "due_at": 0.0,
        "sent_at": 0.5, "received_at": 1.0, "started_at": started, "finished_at": finished, "cpu_s": 0.25, "attempt": 1,
        "redelivered": False, "gil": True, "outcome": outcome,
    }  # fmt: skip


def table(*rows):
    return pl.DataFrame(list(rows), RECORD_SCHEMA)


def ends(successes):
    return successes.select("seq", "finished_at", "returned_at").rows()


def test_a_job_is_finished_when_the_last_that_it_started_is():
    found = first_successes(table(row(0, finished=3.0)), table(row(0, finished=10.0), row(0, finished=7.0)))
    assert ends(found) == [(0, 10.0, 3.0)]


def test_a_job_that_outlasts_its_children_is_finished_when_it_returns():
    assert ends(first_successes(table(row(0, finished=3.0)), table(row(0, finished=2.5)))) == [(0, 3.0, 3.0)]


@pytest.mark.parametrize("children", [None, table()])
def test_without_children_a_job_is_finished_when_it_returns(children):
    assert ends(first_successes(table(row(1, finished=4.0), row(0)), children)) == [(0, 3.0, 3.0), (1, 4.0, 4.0)]


def test_jobs_come_in_the_order_in_which_the_last_of_theirs_finished():
    records = table(row(0, finished=3.0), row(1, finished=4.0), row(2, finished=5.0))
    found = first_successes(records, table(row(0, finished=9.0), row(1, finished=4.5)))
    assert ends(found) == [(1, 4.5, 4.0), (2, 5.0, 5.0), (0, 9.0, 3.0)]


def test_children_belong_to_the_job_of_their_trial():
    records = table(row(0, trial=1, finished=3.0), row(0, trial=2, finished=4.0))
    assert ends(first_successes(records, table(row(0, trial=2, finished=8.0)))) == [(0, 3.0, 3.0), (0, 8.0, 4.0)]


def test_a_child_that_failed_was_waited_for_and_one_that_was_revoked_was_not():
    children = table(row(0, finished=6.0, outcome="failed"), row(0, finished=None, outcome="revoked"))
    assert ends(first_successes(table(row(0)), children)) == [(0, 6.0, 3.0)]
    assert ends(first_successes(table(row(0)), children.tail(1))) == [(0, 3.0, 3.0)]


def test_the_children_of_a_job_that_did_not_succeed_make_no_success():
    assert first_successes(table(row(0, outcome="failed")), table(row(0, finished=9.0))).height == 0


def test_waiting_for_children_is_in_the_sojourn_and_not_in_the_service():
    # Due 0, sent 0.5, received 1, started 2, returned 3, the last child at 10.
    sent = pl.DataFrame([{"trial": 0, "seq": 0, "due_at": 0.0, "sent_at": 0.5, "accepted_at": 0.5}], SENT_SCHEMA)
    found = latency(first_successes(table(row(0)), table(row(0, finished=10.0))), sent)
    assert (found.sojourn.max, found.sojourn_from_sent.max) == (10.0, 9.5)
    assert (found.service.max, found.queue_wait.max, found.cpu.max) == (1.0, 1.5, 0.25)
    assert found.negative == 0


def test_the_numbers_of_a_run_are_those_with_its_children():
    trial = Trial(
        trial=0, kind=Kind.LATENCY, workload="resize", lane="threads", round=0, jobs=2, rate_per_s=1.0, slots=2,
        began_at=0.0, ended_at=20.0,
    )  # fmt: skip
    sent = pl.DataFrame(
        [{"trial": 0, "seq": seq, "part": 0, "due_at": 0.0, "sent_at": 0.5, "accepted_at": 0.5} for seq in (0, 1)],
        SENT_SCHEMA,
    )
    records, children = table(row(0), row(1)), table(row(1, finished=10.0), row(5, finished=99.0))
    with_them, without = analyse([trial], sent, records, children), analyse([trial], sent, records)
    assert with_them.settlement == without.settlement
    (lane,) = with_them.lanes
    assert (lane.latency.sojourn.n, lane.latency.sojourn.max, lane.latency.service.max) == (2, 10.0, 1.0)
    assert without.lanes[0].latency.sojourn.max == 3.0


def test_the_capacity_of_jobs_that_start_others_is_that_of_slots_which_all_of_them_hold():
    """20 jobs of 1 s on 2 slots, each with a child of 1 s that runs when all jobs have: a job a second."""
    trial = Trial(
        trial=0, kind=Kind.CAPACITY, workload="resize", lane="threads", round=0, jobs=20, rate_per_s=None, slots=2,
        began_at=0.0, ended_at=50.0,
    )  # fmt: skip
    sent = pl.DataFrame(
        [{"trial": 0, "seq": n, "part": 0, "due_at": 0.0, "sent_at": 0.0} for n in range(20)], SENT_SCHEMA
    )
    records = table(*(row(n, started=float(n // 2), finished=n // 2 + 1.0) for n in range(20)))
    children = table(
        *(row(n, started=10.0 + n // 2, finished=11.0 + n // 2) for n in range(20)),
        row(3, started=None, finished=30.0, outcome="revoked"),
        row(77, started=0.0, finished=99.0),
    )
    assert analyse([trial], sent, records, children).trials[0].capacity_per_s == pytest.approx(1.0)
    assert analyse([trial], sent, records).trials[0].capacity_per_s == pytest.approx(2.0)


def jobs_of(*weights, calls=2):
    return Jobs(
        workload="mix", calls=tuple(Call(f"shop.{number}") for number in range(calls)), expected_s=0.0, weights=weights
    )  # fmt: skip


def plan_of(jobs, **more):
    return Plan(due_s=np.zeros(jobs), rate_per_s=None, **more)


def test_jobs_of_a_mix_are_of_each_task_as_often_as_its_weight_says():
    plan = with_calls(plan_of(40), jobs_of(1.0, 3.0), 1)
    assert np.bincount(plan.parts).tolist() == [10, 30]


def test_lanes_of_a_round_get_the_same_jobs_in_the_same_order_and_another_round_gets_them_in_another():
    seeds = [seed_for(7, "mix", "mix", turn) for turn in (0, 0, 1)]
    first, again, other = (with_calls(plan_of(100), jobs_of(1.0, 3.0), seed).parts.tolist() for seed in seeds)
    assert first == again != other
    assert sorted(first) == sorted(other)


def test_a_plan_that_says_what_each_job_is_stays_as_it_is():
    plan = plan_of(2, parts=np.array([1, 0], dtype=np.uint8))
    assert with_calls(plan, jobs_of(1.0, 3.0), 1) is plan


@pytest.mark.parametrize("jobs", [jobs_of(calls=1), jobs_of(1.0, calls=1), jobs_of(calls=2)])
def test_jobs_of_one_task_or_without_weights_have_no_parts(jobs):
    plan = plan_of(5)
    assert with_calls(plan, jobs, 1) is plan


def test_when_jobs_are_due_stays_as_it_was():
    plan = Plan(due_s=np.array([0.0, 0.5, 2.0]), rate_per_s=1.5)
    found = with_calls(plan, jobs_of(1.0, 1.0), 1)
    assert (found.due_s.tolist(), found.rate_per_s) == ([0.0, 0.5, 2.0], 1.5)
