"""The trace: a process for each node, a thread for each slot, an event for each job, none over another."""

import json
from dataclasses import replace

import polars as pl
import pytest
from sample_run import make_run

from producer.report.export.rows import Choice
from producer.report.export.trace import trace
from producer.rundir.reader import read_run


@pytest.fixture
def race(tmp_path):
    """Two lanes, prefork first; trials begin 4 s apart."""
    return read_run(make_run(tmp_path, pairs=1))


def traced(run, choice=None):
    return json.loads("".join(trace(run, choice or Choice())))


def jobs_of(found):
    return [event for event in found["traceEvents"] if event["ph"] == "X"]


def test_nodes_are_processes_and_slots_are_threads(race):
    named = [
        (event["name"], event["pid"], event["tid"], event["args"]["name"])
        for event in traced(race)["traceEvents"]
        if event["ph"] == "M"
    ]
    assert named == [
        ("process_name", 1, 0, "prefork@host (prefork)"),
        ("process_name", 2, 0, "threads@host (threads)"),
        ("thread_name", 1, 1, "slot 1 (pid 10, thread 0)"),
        ("thread_name", 1, 2, "slot 2 (pid 10, thread 1)"),
        ("thread_name", 2, 1, "slot 1 (pid 10, thread 0)"),
        ("thread_name", 2, 2, "slot 2 (pid 10, thread 1)"),
    ]


def test_an_event_lasts_from_started_to_finished_in_microseconds(race):
    found = traced(race)
    assert found["displayTimeUnit"] == "ms"
    assert found["otherData"]["zero_at"] == 1_700_000_000.0
    assert len(jobs_of(found)) == 48
    # The second job of the first slot: started after 100 ms, due and sent at the start.
    second = next(event for event in jobs_of(found) if event["args"]["seq"] == 2)
    assert (second["name"], second["cat"], second["pid"], second["tid"]) == ("sleep", "capacity", 1, 1)
    assert second["ts"] == pytest.approx(100_000, abs=1)
    assert second["dur"] == pytest.approx(100_000, abs=1)
    assert second["args"] == {
        "trial": 0, "seq": 2, "due_s": 0.0, "queue_wait_ms": 100.0, "service_ms": 100.0, "outcome": "succeeded"
    }  # fmt: skip


def test_events_of_a_thread_follow_one_another_even_where_clocks_were_set(race):
    third = pl.col("seq") == 2
    moved = race.records.with_columns(
        started_at=pl.when(third).then(pl.col("started_at") - 0.03).otherwise(pl.col("started_at"))
    )
    found = jobs_of(traced(replace(race, records=moved)))
    for slot in {(event["pid"], event["tid"]) for event in found}:
        ours = [event for event in found if (event["pid"], event["tid"]) == slot]
        ends = [event["ts"] + event["dur"] for event in ours]
        assert all(event["ts"] >= end - 0.2 for event, end in zip(ours[1:], ends, strict=False))
    assert {event["args"]["service_ms"] for event in found if event["args"]["seq"] == 2} == {130.0}


def test_jobs_that_share_a_thread_are_slots_of_their_own_and_as_long_as_they_took(race):
    shared = race.records.with_columns(pool=pl.lit("gevent"), thread_id=pl.lit(7, pl.UInt32))
    found = jobs_of(traced(replace(race, records=shared)))
    assert {event["tid"] for event in found} == {1, 2}
    assert [event["dur"] for event in found] == pytest.approx([event["dur"] for event in jobs_of(traced(race))])


def test_a_service_time_below_zero_is_drawn_as_none_and_told_as_it_is(race):
    back = replace(race, records=race.records.with_columns(finished_at=pl.col("started_at") - 0.001))
    found = jobs_of(traced(back))
    assert {event["dur"] for event in found} == {0}
    assert {event["args"]["service_ms"] for event in found} == {-1.0}


def test_deliveries_that_no_slot_ran_are_counted(race):
    dropped = pl.col("seq") == 0
    records = race.records.with_columns(
        started_at=pl.when(dropped).then(None).otherwise(pl.col("started_at")),
        outcome=pl.when(dropped).then(pl.lit("revoked")).otherwise(pl.col("outcome")),
    )
    found = traced(replace(race, records=records))
    assert found["otherData"]["deliveries_without_a_slot"] == 4
    assert len(jobs_of(found)) == 44


def test_a_retry_and_its_exception_are_told(race):
    records = race.records.head(1).with_columns(attempt=pl.lit(2, pl.UInt16), exception=pl.lit("OSError"))
    (event,) = jobs_of(traced(replace(race, records=records)))
    assert (event["args"]["attempt"], event["args"]["exception"]) == (2, "OSError")


def test_without_records_it_is_still_a_trace(race):
    assert traced(replace(race, records=race.records.clear()))["traceEvents"] == []
