"""What the nodes ship is moved to the broker's clock, counted once, and handed on as tables."""

import math
import secrets
from dataclasses import replace

import polars as pl
import pytest
from celery import Celery

from poolrace.contract import (
    NO_OFFSET,
    ClockOffset,
    JobRecord,
    NodeSample,
    Outcome,
    ProcessSample,
    Shipment,
    join_rows,
    records_queue,
)
from producer.errors import FleetError
from producer.measure.collector import Collector, clock_facts
from producer.rundir.events import Event, EventLog
from producer.rundir.schema import RECORD_SCHEMA, SAMPLE_SCHEMA

SAMPLE = NodeSample(
    at=1000.0,
    cpu_s=1.5,
    pss_bytes=2**30,
    private_bytes=2**29,
    voluntary_switches=10,
    involuntary_switches=20,
    processes=3,
    threads=6,
    children=(41, 42),
    drift_s=0.25,
)


class Site:
    """A collector on a broker in memory, and nodes that ship to it."""

    def __init__(self):
        self.run_id = secrets.token_hex(8)
        self.app = Celery("site", broker="memory://", set_as_current=False)
        self.events = []
        self.collector = Collector(
            self.app,
            self.run_id,
            lane_of={"threads@host": "threads"},
            events=EventLog(self.events.append),
        )

    def record(self, seq, **changes):
        record = JobRecord(
            run_id=self.run_id,
            trial=0,
            seq=seq,
            due_at=1000.0,
            sent_at=1000.125,
            received_at=1000.25,
            started_at=1000.5,
            finished_at=1001.0,
            cpu_s=0.25,
            pid=10,
            thread_id=11,
        )
        return replace(record, **changes)

    def ship(self, *records, node="threads@host", clock=NO_OFFSET, samples=(), pool="threads"):
        shipment = Shipment(node=node, pool=pool, clock=clock, rows=join_rows(records), samples=samples)
        self.put(shipment.encode())

    def put(self, body):
        with self.app.connection_for_write() as connection:
            connection.Producer().publish(
                body,
                exchange="",
                routing_key=records_queue(self.run_id),
                content_type="application/data",
                content_encoding="binary",
            )

    def collect(self):
        """Take all that has been shipped."""
        with self.app.connection_for_read() as connection:
            waiting = connection.default_channel._size(records_queue(self.run_id))
        for _ in range(waiting):
            self.collector.poll(1.0)
        return self.collector.take()


@pytest.fixture
def site():
    site = Site()
    with site.collector:
        yield site


def test_records_become_a_table_in_the_layout_of_the_run_directory(site):
    site.ship(site.record(0), site.record(1, outcome=Outcome.FAILED, exception="ValueError", redelivered=True))
    records, samples, _ = site.collect()
    assert records.schema == pl.Schema(RECORD_SCHEMA)
    assert records.row(0, named=True) == {
        "trial": 0,
        "seq": 0,
        "lane": "threads",
        "node": "threads@host",
        "pool": "threads",
        "pid": 10,
        "thread_id": 11,
        "due_at": 1000.0,
        "sent_at": 1000.125,
        "received_at": 1000.25,
        "started_at": 1000.5,
        "finished_at": 1001.0,
        "cpu_s": 0.25,
        "attempt": 1,
        "redelivered": False,
        "gil": True,
        "outcome": "succeeded",
        "exception": None,
    }
    assert records.row(1, named=True)["exception"] == "ValueError"
    assert records["redelivered"].to_list() == [False, True]
    assert samples.schema == pl.Schema(SAMPLE_SCHEMA)
    assert samples.height == 0


def test_what_did_not_happen_is_null(site):
    nan = math.nan
    site.ship(site.record(0, outcome=Outcome.REVOKED, started_at=nan, finished_at=nan, cpu_s=nan))
    record = site.collect()[0].row(0, named=True)
    assert [record[name] for name in ("started_at", "finished_at", "cpu_s")] == [None, None, None]
    assert record["received_at"] == 1000.25


def test_the_instants_of_a_node_are_moved_to_the_brokers_clock_and_those_of_the_publisher_are_on_it(site):
    """The node is 2 s ahead of the broker."""
    site.ship(site.record(0), clock=ClockOffset(offset_s=-2.0, bound_s=0.001))
    record = site.collect()[0].row(0, named=True)
    assert (record["due_at"], record["sent_at"]) == (1000.0, 1000.125)
    assert (record["received_at"], record["started_at"], record["finished_at"]) == (998.25, 998.5, 999.0)
    assert record["cpu_s"] == 0.25


def test_an_offset_that_may_be_noise_moves_nothing(site):
    site.ship(site.record(0), clock=ClockOffset(offset_s=-0.001, bound_s=0.002))
    assert site.collect()[0]["received_at"].to_list() == [1000.25]


def test_what_single_processes_held_is_a_table_of_its_own(site):
    parts = (
        ProcessSample(pid=40, rss_bytes=2**20, open_files=9, sockets=3),
        ProcessSample(pid=41, rss_bytes=None, open_files=None, sockets=None),
    )
    site.ship(samples=(replace(SAMPLE, parts=parts),), clock=ClockOffset(offset_s=-2.0, bound_s=0.001))
    of = {"lane": "threads", "node": "threads@host", "at": 998.0}
    assert site.collect().processes.rows(named=True) == [
        {**of, "pid": 40, "root": True, "rss_bytes": 2**20, "open_files": 9, "sockets": 3},
        {**of, "pid": 41, "root": False, "rss_bytes": None, "open_files": None, "sockets": None},
    ]
    assert site.collector.take().processes.height == 0


def test_samples_of_a_node_are_moved_too_and_name_lane_and_node(site):
    site.ship(
        samples=(SAMPLE, replace(SAMPLE, pss_bytes=None, private_bytes=None)),
        clock=ClockOffset(offset_s=-2.0, bound_s=0.001),
    )
    records, samples, processes = site.collect()
    assert (records.height, processes.height) == (0, 0)
    assert samples.rows(named=True) == [
        {
            "lane": "threads", "node": "threads@host", "at": 998.0, "cpu_s": 1.5, "pss_bytes": pss_bytes,
            "private_bytes": private_bytes, "voluntary_switches": 10, "involuntary_switches": 20, "processes": 3,
            "threads": 6, "drift_s": 0.25,
        }
        for pss_bytes, private_bytes in ((2**30, 2**29), (None, None))
    ]  # fmt: skip


def test_a_child_that_is_another_now_is_an_event_on_the_brokers_clock(site):
    samples = [replace(SAMPLE, at=1000.0 + turn, children=pids) for turn, pids in enumerate([(7, 8), (7, 8), (8, 9)])]
    site.ship(samples=samples, pool="prefork", clock=ClockOffset(offset_s=-2.0, bound_s=0.001))
    site.ship(samples=[replace(SAMPLE, at=1003.0, children=(8, 9))], pool="prefork")
    site.collect()
    assert site.events == [
        Event(
            at=1000.0, lane="threads", node="threads@host", kind="children replaced", detail="pid 7 ended, pid 9 began"
        )
    ]


def test_children_of_a_node_whose_slots_are_threads_are_none_of_its_slots(site):
    site.ship(samples=[replace(SAMPLE, children=pids) for pids in ((), (7,), ())])
    site.collect()
    assert site.events == []


def test_a_node_that_was_not_there_at_first_is_an_event_once(site):
    site.ship(site.record(0))
    site.ship(site.record(1), node="threads@new")
    site.ship(site.record(2), node="threads@new")
    site.collector.expect(0, 3, "the lane")
    site.collect()
    assert [(event.kind, event.lane, event.node) for event in site.events] == [
        ("node joined", "the lane", "threads@new")
    ]


def test_a_node_that_nobody_knows_keeps_its_own_name_as_its_lane(site):
    site.ship(site.record(0), node="worker1@elsewhere")
    assert site.collect()[0]["lane"].to_list() == ["worker1@elsewhere"]


def test_clocks_are_the_first_and_the_last_that_each_node_told(site):
    site.ship(clock=ClockOffset(offset_s=1.0, bound_s=0.5))
    site.ship(clock=ClockOffset(offset_s=2.0, bound_s=0.25))
    site.ship(node="other@host")
    site.collect()
    first, last = ClockOffset(offset_s=1.0, bound_s=0.5), ClockOffset(offset_s=2.0, bound_s=0.25)
    assert site.collector.clocks == {"threads@host": (first, last), "other@host": (NO_OFFSET, NO_OFFSET)}


def test_a_clock_has_the_last_offset_and_drifted_by_what_that_is_more_than_the_first():
    first, last = ClockOffset(offset_s=1.0, bound_s=0.5), ClockOffset(offset_s=2.5, bound_s=0.25)
    assert clock_facts(first, last) == {"offset_s": 2.5, "bound_s": 0.25, "drift_s": 1.5, "drift_bound_s": 0.75}
    assert clock_facts(first, first) == {"offset_s": 1.0, "bound_s": 0.5, "drift_s": None, "drift_bound_s": None}
    assert clock_facts(NO_OFFSET, last)["drift_s"] is None
    assert clock_facts(NO_OFFSET, NO_OFFSET)["bound_s"] is None


def test_what_was_taken_is_not_given_again(site):
    site.ship(site.record(0))
    assert site.collect()[0].height == 1
    assert site.collect()[0].height == 0


def test_a_job_is_missing_until_its_end_is_in(site):
    site.collector.expect(0, 3)
    assert site.collector.missing == 3
    site.ship(site.record(2))
    site.collect()
    assert site.collector.missing == 2
    site.ship(site.record(0, outcome=Outcome.FAILED), site.record(1, outcome=Outcome.REVOKED))
    site.collect()
    assert site.collector.missing == 0


def test_a_retry_is_no_end(site):
    site.collector.expect(0, 1)
    site.ship(site.record(0, outcome=Outcome.RETRIED))
    site.collect()
    assert site.collector.missing == 1
    site.ship(site.record(0, attempt=2))
    site.collect()
    assert site.collector.missing == 0


def test_a_second_end_of_a_job_does_not_stand_for_another_job(site):
    site.collector.expect(0, 2)
    site.ship(site.record(0), site.record(0))
    site.collect()
    assert site.collector.missing == 1


def test_stragglers_of_the_trial_before_and_strangers_are_kept_but_not_counted(site):
    site.collector.expect(1, 2)
    site.ship(site.record(0), site.record(1), site.record(99, trial=1))
    records = site.collect().records
    assert site.collector.missing == 2
    assert records.height == 3


def test_a_new_trial_starts_counting_anew(site):
    site.collector.expect(0, 1)
    site.ship(site.record(0))
    site.collect()
    site.collector.expect(1, 1)
    assert site.collector.missing == 1


def test_waiting_for_nothing_comes_back(site):
    site.collector.poll(0.01)
    assert site.collector.take()[0].height == 0


def test_a_node_of_another_version_ends_the_race_with_what_to_do(site):
    site.put(b'{"poolrace": 1}\n')
    with pytest.raises(FleetError, match=r"ships what this poolrace cannot read: .* Use one poolrace on all\."):
        site.collect()


def test_after_a_replan_those_that_ended_stay_so_and_new_jobs_are_missing(site):
    site.collector.expect(0, 3)
    site.ship(site.record(0), site.record(2))
    site.collect()
    site.collector.replan(5)
    assert site.collector.missing == 3
    site.ship(site.record(1), site.record(3), site.record(4))
    site.collect()
    assert site.collector.missing == 0


def test_after_a_shorter_plan_only_its_own_jobs_are_waited_for(site):
    site.collector.expect(0, 4)
    site.ship(site.record(0), site.record(3))
    site.collect()
    site.collector.replan(2)
    assert site.collector.missing == 1
    site.ship(site.record(3), site.record(2))
    assert site.collect()[0].height == 2
    assert site.collector.missing == 1
    site.ship(site.record(1))
    site.collect()
    assert site.collector.missing == 0


def test_after_a_plan_that_was_short_for_a_while_jobs_are_waited_for_again(site):
    site.collector.expect(0, 2)
    site.ship(site.record(0), site.record(1))
    site.collect()
    site.collector.replan(1)
    site.collector.replan(2)
    assert site.collector.missing == 1


def test_a_replan_is_of_the_trial_that_is_expected(site):
    site.collector.expect(1, 2)
    site.collector.replan(3)
    site.ship(site.record(0), site.record(1, trial=1))
    site.collect()
    assert site.collector.missing == 2


def arrive(site):
    """Take in what has been shipped, and leave it to be looked at or taken."""
    with site.app.connection_for_read() as connection:
        waiting = connection.default_channel._size(records_queue(site.run_id))
    for _ in range(waiting):
        site.collector.poll(1.0)


def seqs(frames):
    return [frame["seq"].to_list() if "seq" in frame.columns else frame.height for frame in frames]


def test_what_is_fresh_is_what_came_since_the_last_look(site):
    site.ship(site.record(0), site.record(1), samples=(SAMPLE,))
    arrive(site)
    assert seqs(site.collector.fresh()) == [[0, 1], [], 1]
    assert seqs(site.collector.fresh()) == [[], [], 0]
    site.ship(site.record(2))
    site.ship(samples=(SAMPLE, SAMPLE))
    arrive(site)
    assert seqs(site.collector.fresh()) == [[2], [], 2]


def test_records_of_children_are_fresh_once_too(site):
    site.ship(site.record(0, started=1), site.record(0, child=True))
    arrive(site)
    assert seqs(site.collector.fresh()) == [[0], [0], 0]
    assert seqs(site.collector.fresh()) == [[], [], 0]
    assert site.collector.take_children().height == 1


def test_a_look_takes_nothing_away(site):
    site.ship(site.record(0), samples=(SAMPLE,))
    arrive(site)
    site.collector.fresh()
    site.ship(site.record(1))
    arrive(site)
    assert site.collector.rows == 2
    assert seqs(site.collector.take()) == [[0, 1], 1, 0]
    assert site.collector.rows == 0


def test_what_was_taken_is_not_fresh_any_more_and_what_comes_later_is(site):
    site.ship(site.record(0))
    site.ship(site.record(1))
    arrive(site)
    site.collector.fresh()
    site.collector.take()
    site.ship(site.record(2))
    arrive(site)
    assert seqs(site.collector.fresh()) == [[2], [], 0]
    site.collector.take()
    assert seqs(site.collector.fresh()) == [[], [], 0]


def test_with_nothing_to_look_at_tables_have_their_columns(site):
    records, children, samples = site.collector.fresh()
    assert records.schema == children.schema == pl.Schema(RECORD_SCHEMA)
    assert samples.schema == pl.Schema(SAMPLE_SCHEMA)
